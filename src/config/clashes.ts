/** Settings that are right by themselves and cannot hold together. */
import type { z } from 'zod';
import { type Configured, holdsOf, placesOf, SHAPE_PARTS, shapeRefusalsOf, shapesOf } from '../../connectors/index.ts';
import { hostOf } from '../model/address.ts';
import { shapeProblems, shapeSettings } from '../model/shape.ts';
import { mayBe, mayMeet } from '../model/template.ts';
import { DEFAULT_ADMIN_PORT, isLoopback, NO_RECEIVER } from './listeners.ts';
import type { Settings } from './schema.ts';
import { deadLetterTopic, type Source } from './source.ts';

type Refuse = (path: (string | number)[], message: string) => void;

export function refuseClashes(config: Settings, context: z.RefinementCtx): void {
  const refuse: Refuse = (path, message) => context.addIssue({ code: 'custom', path, message });
  // What is wrong by itself says nothing about where it leads.
  const wrong = new Set(context.issues.map(({ path = [] }) => path.slice(0, 2).join('.')));
  const isWrong = (connector: string): boolean => wrong.has(`connectors.${connector}`);
  refuseSharedPlace(config, isWrong, refuse);
  refuseOwnAddress(config, refuse);
  for (const [name, connector] of Object.entries(config.connectors)) {
    if (!isWrong(name) && connector.shape)
      refuseShape(name, connector as unknown as Configured, connector.shape, refuse);
  }
  if (config.receiver.allowFrom?.includes('service') && config.reconcile === undefined) {
    refuse(
      ['receiver', 'allowFrom'],
      'reconcile.api is needed: with its credentials the service is asked for its addresses',
    );
  }
  if (config.source === undefined) refuseSharedPort(config, refuse);
  else refuseInWorker(config, config.source, refuse);
}

/** A shape that would lose something is told where it stands: a copy that cannot be read back is never right again. */
function refuseShape(name: string, connector: Configured, given: unknown, refuse: Refuse): void {
  // What all connectors have in common is lost in the inferred type.
  const shape = shapeSettings.parse(given);
  const at = (path: readonly (string | number)[]) => ['connectors', name, 'shape', ...path];
  const [holds, parts] = [holdsOf(connector), shapesOf(connector)];
  if (holds === 'groups' && parts === undefined) {
    refuse(at([]), `what a connector of kind ${connector.kind} writes of groups has the shape that it gives them`);
    return;
  }
  const problems = [...shapeProblems(shape, holds), ...shapeRefusalsOf(connector, shape)];
  for (const { path, message } of problems) refuse(at(path), message);
  for (const part of SHAPE_PARTS) {
    if (shape[part] === undefined || parts?.includes(part) || problems.some(({ path }) => path[0] === part)) continue;
    refuse(at([part]), `what a connector of kind ${connector.kind} writes has no ${part} of its own: leave it out`);
  }
}

const isEvery = (host: string): boolean => host === '0.0.0.0' || host === '::';

function refuseSharedPort({ receiver, admin }: Settings, refuse: Refuse): void {
  const [one, other] = [receiver.host, admin.host].map((host) => (host === 'localhost' ? '127.0.0.1' : host));
  if (receiver.port !== admin.port || admin.port === 0) return;
  if (one !== other && !isEvery(receiver.host) && !isEvery(admin.host)) return;
  const message = 'receiver and admin cannot listen on one port: choose another for one of the two';
  // The one that is left out has its default.
  refuse([admin.port === DEFAULT_ADMIN_PORT ? 'receiver' : 'admin', 'port'], message);
}

/** What is sent to the bridge's own servers comes back as no callback, or again and again. */
function refuseOwnAddress({ source, receiver, admin, notify, connectors }: Settings, refuse: Refuse): void {
  const servers = source === undefined ? [receiver, admin] : [admin];
  const isOwn = (text: unknown): boolean => {
    if (typeof text !== 'string' || !URL.canParse(text)) return false;
    const url = new URL(text);
    const [host, port] = [hostOf(url), Number(url.port || (url.protocol === 'https:' ? 443 : 80))];
    return servers.some((own) => own.port === port && leadsTo(host, own.host));
  };
  const refuseOwn = (path: (string | number)[], url: unknown): void => {
    if (isOwn(url)) refuse(path, 'it leads back to this bridge: its receiver or its admin server listens there');
  };
  const { otherCommands } = receiver;
  if (typeof otherCommands === 'object') refuseOwn(['receiver', 'otherCommands', 'forwardTo'], otherCommands.forwardTo);
  for (const [index, { url }] of notify.entries()) refuseOwn(['notify', index, 'url'], url);
  for (const [name, connector] of Object.entries(connectors))
    refuseOwn(['connectors', name, 'url'], 'url' in connector ? connector.url : undefined);
}

/** Whether the host of a URL is surely where a server listens, as both are written. */
function leadsTo(host: string, listening: string): boolean {
  if (host === listening) return true;
  if (host === 'localhost') return isLoopback(listening) || isEvery(listening);
  if (!isLoopback(host)) return false;
  return listening === 'localhost' || listening === '::' || (listening === '0.0.0.0' && host !== '::1');
}

/** What lies beside the file of the journal. */
const BESIDE = ['', '-wal', '-shm', '.lock', '.notify.json'];

/** Returns the files that belong to the bridge itself, and which setting names them. */
function ownFiles({ journal, receiver }: Settings): Taken[] {
  const { tls, otherCommands } = receiver;
  const read = {
    ...{ 'receiver.tls.certFile': tls?.certFile, 'receiver.tls.keyFile': tls?.keyFile },
    'receiver.tls.clientCaFile': tls?.clientCaFile,
    'receiver.otherCommands.caFile': typeof otherCommands === 'object' ? otherCommands.caFile : undefined,
  };
  const placed = (by: string, path: string, does?: string): Taken[] =>
    placesOf({ kind: 'file', path } as Configured).map(({ name }) => ({ name, by, use: undefined, does }));
  return [
    ...BESIDE.flatMap((suffix) => placed('journal.file', journal.file + suffix)),
    ...Object.entries(read).flatMap(([by, path]) => (path === undefined ? [] : placed(by, path, 'is read from the'))),
  ];
}

/** Two connectors may write to one place only where they write the same there, each its share. */
function refuseSharedPlace(config: Settings, isWrong: (connector: string) => boolean, refuse: Refuse): void {
  const { connectors } = config;
  const taken = ownFiles(config);
  for (const [connector, options] of Object.entries(connectors)) {
    if (!options.enabled || isWrong(connector)) continue;
    const by = `connectors.${connector}`;
    const places = placesOf(options as unknown as Configured, shapeSettings.optional().parse(options.shape)).map(
      ({ use, ...place }) => ({
        ...place,
        by,
        use: use && use + JSON.stringify(options.shape ?? ''),
      }),
    );
    const clashOf = (place: Taken): Taken | undefined =>
      taken.find((one) => isOnePlace(one, place) && (place.use === undefined || place.use !== one.use));
    const clash = places.map((place) => ({ place, other: clashOf(place) })).find(({ other }) => other !== undefined);
    taken.push(...places);
    if (clash?.other === undefined) continue;
    const { place, other } = clash;
    const what = other.name === place.name ? place.name : `${other.name}, which may be the ${place.name},`;
    refuse(
      ['connectors', connector, ...place.option.split('.')],
      `${other.by} ${other.does ?? 'writes to the'} ${what} already: choose another for one of the two`,
    );
  }
}

/** A place, and who writes there. */
interface Taken {
  readonly name: string;
  readonly template?: boolean;
  readonly by: string;
  readonly use: string | undefined;
  /** What `by` does there, where it does not write. */
  readonly does?: string | undefined;
}

const isOnePlace = (one: Taken, other: Taken): boolean =>
  one.template || other.template ? mayMeet(one.name, other.name) : one.name === other.name;

/** A worker delivers what receiving bridges wrote: it has no use for what those do. */
function refuseInWorker({ receiver, reconcile, connectors }: Settings, source: Source, refuse: Refuse): void {
  if (receiver !== NO_RECEIVER) {
    refuse(['receiver'], 'a worker receives no callbacks: leave receiver out, or leave source out to receive them');
  }
  if (reconcile !== undefined) {
    const instead = 'let a receiving bridge reconcile, whose events come here';
    refuse(['reconcile'], `a worker has no journal to mend the copies from: ${instead}`);
  }
  for (const [name, one] of Object.entries(connectors)) {
    const brokers = (one as { brokers?: readonly string[] }).brokers ?? [];
    if (one.kind !== 'kafka' || !brokers.some((broker) => source.brokers.includes(broker))) continue;
    if (mayBe(String(one.topic), source.topic) || mayBe(String(one.topic), deadLetterTopic(source))) {
      refuse(['connectors', name, 'topic'], 'the worker would read what it writes: choose a topic of its own');
    }
  }
}
