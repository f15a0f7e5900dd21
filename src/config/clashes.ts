/** Settings that are valid by themselves but not together. */
import type { z } from 'zod';
import type { Place } from '../../connectors/contract.ts';
import {
  type Configured,
  holdsOf,
  placesOf,
  readsBack,
  SHAPE_PARTS,
  shapeRefusalsOf,
  shapesOf,
  source as sourceKind,
} from '../../connectors/index.ts';
import { contains, hostOf, toAddressList } from '../model/address.ts';
import { isObject } from '../model/json.ts';
import { shapeProblems, shapeSettings } from '../model/shape.ts';
import { mayBe, mayMeet } from '../model/template.ts';
import type { LaneOptions } from './connectors.ts';
import type { FilesRead } from './file.ts';
import { DEFAULT_ADMIN_PORT, isLoopback, NO_RECEIVER } from './listeners.ts';
import { formatPath, type Path } from './problems.ts';
import type { Settings, Source } from './schema.ts';

type Refuse = (path: (string | number)[], message: string) => void;
type IsWrong = (connector: string) => boolean;

/** Returns the clashes in settings that mix two configurations, each valid by itself. */
export function clashesIn(config: Settings): readonly { readonly path: string; readonly message: string }[] {
  const found: { path: string; message: string }[] = [];
  const refuse: Refuse = (path, message) => void found.push({ path: formatPath(path), message });
  refuseSharedPlace(config, [], () => false, refuse);
  refuseOwnAddress(config, refuse);
  return found;
}

/** @param files The configuration file and those that it names to be read. */
export function refuseClashes(config: Settings, context: z.RefinementCtx, files: FilesRead): void {
  const refuse: Refuse = (path, message) => context.addIssue({ code: 'custom', path, message });
  // The places of a connector with an invalid value are unknown.
  const wrong = new Set(context.issues.map(({ path = [] }) => path.slice(0, 2).join('.')));
  const isWrong: IsWrong = (connector) => wrong.has(`connectors.${connector}`);
  refuseSharedPlace(config, files, isWrong, refuse);
  refuseOwnAddress(config, refuse);
  for (const [name, connector] of Object.entries(config.connectors)) {
    if (!isWrong(name) && connector.shape)
      refuseShape(name, connector as unknown as Configured, connector.shape, refuse);
  }
  if (config.receiver.allowFrom?.includes('service') && config.reconcile === undefined) {
    refuse(
      ['receiver', 'allowFrom'],
      'reconcile.api is needed: its credentials are used to fetch the service’s addresses',
    );
  }
  if (config.source === undefined) refuseSharedPort(config, refuse);
  else refuseInWorker(config, config.source, refuse);
}

/** Refuses a shape that would lose something: a copy that cannot be read back can never be mended. */
function refuseShape(name: string, connector: Configured, given: unknown, refuse: Refuse): void {
  // The inferred type lacks the settings that all connectors share.
  const shape = shapeSettings.parse(given);
  const at = (path: readonly (string | number)[]) => ['connectors', name, 'shape', ...path];
  const [holds, parts] = [holdsOf(connector), shapesOf(connector)];
  if (holds === 'groups' && parts === undefined) {
    refuse(at([]), `a connector of kind ${connector.kind} sets the shape of groups itself: leave shape out`);
    return;
  }
  const problems = [...shapeProblems(shape, holds), ...shapeRefusalsOf(connector, shape)];
  for (const { path, message } of problems) refuse(at(path), message);
  for (const part of SHAPE_PARTS) {
    if (shape[part] === undefined || parts?.includes(part) || problems.some(({ path }) => path[0] === part)) continue;
    refuse(at([part]), `a connector of kind ${connector.kind} has no ${part}: leave it out`);
  }
}

const isEvery = (host: string): boolean => host === '0.0.0.0' || host === '::';

function refuseSharedPort({ receiver, admin }: Settings, refuse: Refuse): void {
  const [one, other] = [receiver.host, admin.host].map((host) => (host === 'localhost' ? '127.0.0.1' : host));
  if (receiver.port !== admin.port || admin.port === 0) return;
  if (one !== other && !isEvery(receiver.host) && !isEvery(admin.host)) return;
  const message = 'receiver and admin cannot listen on one port: choose another for one of the two';
  // Points to the port that was set, if the other one is a default.
  refuse([admin.port === DEFAULT_ADMIN_PORT ? 'receiver' : 'admin', 'port'], message);
}

/** Sent to its own servers, nothing would arrive as a callback, or it would circle for ever. */
function refuseOwnAddress({ source, receiver, admin, notify, connectors }: Settings, refuse: Refuse): void {
  const servers = source === undefined ? [receiver, admin] : [admin];
  const isOwn = (text: unknown): boolean => {
    if (typeof text !== 'string' || !URL.canParse(text)) return false;
    const url = new URL(text);
    const [host, port] = [hostOf(url), Number(url.port || (url.protocol === 'https:' ? 443 : 80))];
    return servers.some((own) => own.port === port && leadsTo(host, own.host));
  };
  const refuseOwn = (path: (string | number)[], url: unknown): void => {
    if (isOwn(url)) refuse(path, 'it points back to this bridge: its receiver or admin server listens there');
  };
  const { otherCommands } = receiver;
  if (typeof otherCommands === 'object') refuseOwn(['receiver', 'otherCommands', 'forwardTo'], otherCommands.forwardTo);
  for (const [index, { url }] of notify.entries()) refuseOwn(['notify', index, 'url'], url);
  for (const [name, connector] of Object.entries(connectors))
    refuseOwn(['connectors', name, 'url'], 'url' in connector ? connector.url : undefined);
}

/** Whether the host of a URL certainly leads to where a server listens, judging by the text alone. */
function leadsTo(host: string, listening: string): boolean {
  // A connection to the wildcard address reaches this machine.
  const asked = isEvery(host) ? (host === '::' ? '::1' : '127.0.0.1') : host;
  if (asked === listening || contains(toAddressList([listening]), asked)) return true;
  if (asked === 'localhost') return isLoopback(listening) || isEvery(listening);
  if (!isLoopback(asked)) return false;
  return listening === 'localhost' || listening === '::' || (listening === '0.0.0.0' && asked !== '::1');
}

/** The bridge's own files next to the journal. */
const BESIDE = [
  ...['-wal', '-shm', '-journal', '.lock', '.saved', '.dry-run.ndjson'],
  ...['.notify.json', '.notify.json.new', '.addresses.json', '.addresses.json.new'],
];

interface Taken extends Omit<Place, 'option'> {
  readonly by: string;
  /** What `by` does there; writing, by default. */
  readonly does?: string;
}

/** Returns the one name of a file, however its path is written. */
const fileAt = (path: string): string => placesOf({ kind: 'file', path } as Configured)[0]?.name ?? '';

/** Returns the files that settings name to be read: keys such as certFile and caFile, and createIndex.file. */
function filesRead(settings: object, above: Path = []): Taken[] {
  return Object.entries(settings).flatMap(([key, value]): Taken[] => {
    const path = [...above, key];
    if (isObject(value)) return filesRead(value, path);
    const isRead = key.endsWith('File') || (key === 'file' && above.at(-1) === 'createIndex');
    if (typeof value !== 'string' || !isRead) return [];
    return [{ name: fileAt(value), by: formatPath(path), does: 'is read from the' }];
  });
}

/** Lets two connectors write to one place only if they share the work of writing the same; and nobody to a file that is read. */
function refuseSharedPlace(config: Settings, files: FilesRead, isWrong: IsWrong, refuse: Refuse): void {
  const taken = filesRead(config);
  taken.push(...files.map(([file, by]) => ({ name: fileAt(file), by, does: 'is read from the' })));
  const claim = (section: string[], by: string, places: readonly Place[]): void => {
    const clashOf = (place: Place): Taken | undefined =>
      taken.find((one) => isOnePlace(one, place) && (place.use === undefined || place.use !== one.use));
    const clash = places.map((place) => ({ place, other: clashOf(place) })).find(({ other }) => other !== undefined);
    taken.push(...places.map((place) => ({ ...place, by })));
    if (clash?.other === undefined) return;
    const { place, other } = clash;
    const what = other.name === place.name ? place.name : `${other.name}, which may be the ${place.name},`;
    const message = `${other.by} ${other.does ?? 'writes to the'} ${what} already: choose another for one of the two`;
    refuse([...section, ...place.option.split('.')], message);
  };
  const ofJournal = ['', ...BESIDE].map((suffix) => ({ name: fileAt(config.journal.file + suffix), option: 'file' }));
  claim(['journal'], 'journal.file', ofJournal);
  for (const [name, options] of Object.entries(config.connectors)) {
    if (!options.enabled || isWrong(name)) continue;
    const configured = options as unknown as Configured & LaneOptions;
    const places = placesOf(configured, shapeSettings.optional().parse(options.shape));
    // Two shapes differ, and so do whole groups with different fields left out by the filter.
    const fields =
      holdsOf(configured) === 'groups' && !readsBack(configured) && configured.filter.changedFields?.toSorted();
    const shape = JSON.stringify([options.shape, fields]);
    const shaped = places.map((place) => (place.use === undefined ? place : { ...place, use: place.use + shape }));
    claim(['connectors', name], `connectors.${name}`, shaped);
  }
}

const isOnePlace = (one: Taken, other: Place): boolean =>
  one.template || other.template ? mayMeet(one.name, other.name) : one.name === other.name;

/** A worker delivers what receiving bridges wrote, and does none of their work. */
function refuseInWorker({ receiver, reconcile, connectors }: Settings, source: Source, refuse: Refuse): void {
  if (receiver !== NO_RECEIVER) {
    refuse(['receiver'], 'a worker receives no callbacks: leave receiver out, or leave source out to receive them');
  }
  if (reconcile !== undefined) {
    const instead = 'run reconcile on a receiving bridge, whose events come here';
    refuse(['reconcile'], `a worker has no journal to mend the copies from: ${instead}`);
  }
  const { topic, deadLetters } = sourceKind.describe(source);
  if (deadLetters === topic) {
    refuse(['source', 'deadLetters', 'topic'], 'each dead letter would be read as an event: choose another topic');
  }
  const { brokers } = source;
  const read = [topic, deadLetters].flatMap((topic) => placesOf({ kind: 'kafka', brokers, topic } as Configured));
  for (const [name, one] of Object.entries(connectors)) {
    if (one.kind !== 'kafka') continue;
    if (placesOf(one as unknown as Configured).some((place) => read.some((other) => mayBe(place.name, other.name)))) {
      refuse(['connectors', name, 'topic'], 'the worker would read what it writes: choose another topic');
    }
  }
}
