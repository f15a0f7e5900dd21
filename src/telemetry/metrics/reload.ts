import { Counter, Gauge } from 'prom-client';
import type { MetricPorts } from './sources.ts';

/** Configurations that a running bridge read anew. */
export function measureReloads({ registry, signals }: MetricPorts): void {
  const registers = [registry];
  const reloads = new Counter({
    name: 'bridge_config_reloads_total',
    help: 'Configurations read anew. outcome: applied, refused.',
    labelNames: ['outcome'],
    registers,
  });
  const success = new Gauge({
    name: 'bridge_config_last_reload_success',
    help: '1 while the configuration that was read last is in effect, 0 when it was refused.',
    registers,
  });
  success.set(1);
  for (const outcome of ['applied', 'refused']) reloads.inc({ outcome }, 0);
  signals.on('config.reloaded', () => {
    reloads.inc({ outcome: 'applied' });
    success.set(1);
  });
  signals.on('config.refused', () => {
    reloads.inc({ outcome: 'refused' });
    success.set(0);
  });
}
