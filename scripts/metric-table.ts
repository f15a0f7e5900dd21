import type { Registry } from 'prom-client';

/** The bridge's own metrics as a Markdown table, from the registry that serves them. */
export function metricTable(registry: Registry): string {
  const own = registry.getMetricsAsArray().filter(({ name }) => name.startsWith('bridge_'));
  const rows = own
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((metric) => {
      const labels = 'labelNames' in metric ? (metric.labelNames as string[]) : [];
      const kind = metric.constructor.name.toLowerCase();
      const cells = [`\`${metric.name}\``, kind, labels.map((label) => `\`${label}\``).join(', '), metric.help];
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
    });
  return ['| metric | type | labels | |', '|---|---|---|---|', ...rows].join('\n');
}
