import { inject } from 'vitest';
import { eventually } from './readback.ts';

const url = inject('elasticsearchUrl');
if (url !== '') await eventually(ask, `OpenSearch answers at ${url}`, 180_000);

async function ask(): Promise<void> {
  const { status } = await fetch(`${url}/_cluster/health?wait_for_status=yellow&timeout=2s`);
  if (status !== 200) throw new Error(`HTTP ${status}`);
}
