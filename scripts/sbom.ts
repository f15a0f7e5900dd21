/**
 * `npm run sbom`: prints what the published package is made of, in CycloneDX. npm tells all that is installed and marks what is
 * for development; its own --omit dev leaves out what both sides need.
 */
import { execFileSync } from 'node:child_process';

interface Bom {
  components: { 'bom-ref': string; properties?: { name: string; value: string }[] }[];
  dependencies: { ref: string; dependsOn?: string[] }[];
}

const DEVELOPMENT = 'cdx:npm:package:development';

const all = execFileSync('npm', ['sbom', '--package-lock-only', '--sbom-format', 'cyclonedx'], {
  encoding: 'utf8',
  maxBuffer: 64 * 1_048_576,
  shell: process.platform === 'win32',
});
const bom = JSON.parse(all) as Bom;
const left = new Set(
  bom.components
    .filter(({ properties }) => properties?.some(({ name }) => name === DEVELOPMENT))
    .map((component) => component['bom-ref']),
);
const stays = (ref: string): boolean => !left.has(ref);
bom.components = bom.components.filter((component) => stays(component['bom-ref']));
bom.dependencies = bom.dependencies
  .filter(({ ref }) => stays(ref))
  .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter(stays) }));
process.stdout.write(`${JSON.stringify(bom, null, 2)}\n`);
