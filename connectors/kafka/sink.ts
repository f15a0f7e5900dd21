import { Unreachable } from '../../src/model/fault.ts';
import type { Outcome } from '../../src/model/outcome.ts';
import { wordsOf } from '../../src/model/template.ts';
import type { Host, Identify, Outcomes, Sink } from '../contract.ts';
import { createClient } from './client.ts';
import { followGroups, refuseForeign, scanGroups } from './groups.ts';
import { watchEnds } from './identity.ts';
import { toGroupMessage, toMessage } from './message.ts';
import { clientOptions, type KafkaOptions } from './options.ts';
import { extentsOf } from './reader.ts';
import { type Item, sendByLeader } from './sending.ts';
import { openTopic, topicOf } from './topic.ts';

export async function openSink(options: KafkaOptions, host: Host, signal: AbortSignal): Promise<Sink> {
  const { content, format, headers, topic } = options;
  const { shape } = host;
  const named = wordsOf(topic).length === 0;
  const target = named ? openTarget(options, host) : openTargets(options, host);
  const { identify, close } = target;
  await target.open(signal);
  if (content === 'events') {
    return {
      holds: 'events',
      async deliver(batch, signal) {
        const items = batch.map((entry): Item => {
          const message = toMessage(entry, format, shape, headers);
          return { id: entry.id, message, ...(!named && { topic: topicOf(topic, entry.event) }) };
        });
        return target.send(items, signal);
      },
      identify,
      close,
    };
  }
  await refuseForeign(options, host, signal);
  return {
    holds: 'groups',
    // Invariant 3: whole states, so that a key's last record is right in whatever order its events came.
    async put(states, how, signal) {
      if (how !== 'join') throw new TypeError('a topic is not read back, so nothing can be compared with it');
      const items = states.map((state) => ({ id: state.groupId, message: toGroupMessage(state, shape, headers) }));
      return target.send(items, signal);
    },
    follow: followGroups(options, host),
    scan: scanGroups(options, host),
    identify,
    close,
  };
}

export interface Target {
  /** Throws Unreachable if nothing could be sent. */
  open(signal: AbortSignal): Promise<void>;
  send(items: readonly Item[], signal: AbortSignal): Promise<Outcomes>;
  readonly identify: Identify;
  close(): Promise<void>;
}

/** One topic. `isOfMany`: it may be missing until an event needs it, and is lost only if it was written to. */
function openTarget(options: KafkaOptions, host: Host, isOfMany = false): Target {
  const { content, createTopic, maxBatchBytes } = options;
  const path = `connectors.${host.name}`;
  const ends = watchEnds(options.topic);
  const created = (message: string) => (isOfMany && !ends.known() ? host.note : host.created)(message);
  const topic = openTopic({ options, path, createTopic, compacted: content === 'groups', created });
  return {
    open: (signal) => topic.use(signal, async () => {}),
    send: (items, signal) =>
      topic.use(signal, async (client) => {
        const { outcomes, troubled } = await sendByLeader(client, items, maxBatchBytes);
        if (troubled) await topic.drop();
        for (const outcome of outcomes.values()) if (outcome.kind === 'delivered') ends.written(outcome.receipt);
        return outcomes;
      }),
    async identify(before, signal) {
      const clients = await clientOptions(options, path, signal);
      const look = () => extentsOf(clients);
      const found = await ends.compare(before, look, signal);
      if (found !== undefined) return found;
      // The next use creates a missing topic.
      await topic.drop();
      await topic.use(signal, async () => {});
      return (await ends.compare(before, look, signal)) ?? { identity: before ?? '' };
    },
    close: topic.drop,
  };
}

/** The topics of a template: each is opened for its first event. */
function openTargets(options: KafkaOptions, host: Host): Target {
  const open = new Map<string, Target>();
  const targetOf = (topic: string): Target | undefined => {
    const target =
      open.get(topic) ?? (open.size < MOST_TOPICS ? openTarget({ ...options, topic }, host, true) : undefined);
    if (target !== undefined) open.set(topic, target);
    return target;
  };
  return {
    async open(signal) {
      const client = createClient(await clientOptions(options, `connectors.${host.name}`, signal));
      await client.ask((admin) => admin.describeCluster()).finally(() => client.close());
    },
    async send(items, signal) {
      const outcomes = new Map<string, Outcome>();
      let trouble: Unreachable | undefined;
      for (const [topic = '', its] of Map.groupBy(items, (item) => item.topic)) {
        try {
          const settled = await targetOf(topic)?.send(its, signal);
          for (const { id } of its) {
            const outcome = settled === undefined ? tooMany(topic, host) : settled.get(id);
            if (outcome !== undefined) outcomes.set(id, outcome);
          }
        } catch (thrown) {
          if (!(thrown instanceof Unreachable)) throw thrown;
          trouble = thrown;
          for (const { id } of its) outcomes.set(id, { kind: 'retry', fault: thrown.fault });
        }
      }
      const settled = [...outcomes.values()].some(({ kind }) => kind !== 'retry');
      if (trouble !== undefined && !settled) throw trouble;
      return outcomes;
    },
    identify: (before, signal) => identifyAll(options.topic, targetOf, open, before, signal),
    close: async () => void (await Promise.all([...open.values()].map((target) => target.close()))),
  };
}

/** Group types are an open set, and each topic costs a connection. */
const MOST_TOPICS = 50;

function tooMany(topic: string, { name }: Host): Outcome {
  const message = `Kafka: ${topic} would exceed the limit of ${MOST_TOPICS} topics for a template`;
  return { kind: 'dead', fault: { code: 'event-refused', message, path: `connectors.${name}.topic` } };
}

/** `before` is the template, then the identity of each topic, separated by |. */
async function identifyAll(
  template: string,
  targetOf: (topic: string) => Target | undefined,
  open: ReadonlyMap<string, Target>,
  before: string | undefined,
  signal: AbortSignal,
): ReturnType<Identify> {
  const [was = template, ...known] = before?.split('|') ?? [];
  const moved = was !== template;
  const each = new Map((moved ? [] : known).map((one) => [one.split(' ')[0] ?? '', one]));
  for (const topic of each.keys()) targetOf(topic);
  const found: NonNullable<Awaited<ReturnType<Identify>>>[] = [];
  for (const [topic, target] of open) {
    try {
      found.push(await target.identify(each.get(topic), signal));
    } catch (thrown) {
      // Trouble with one topic, such as a missing one, must not hold up the others; a wrong password concerns all.
      if (!(thrown instanceof Unreachable) || !/\.(topic|createTopic)$/.test(thrown.fault.path ?? '')) throw thrown;
      found.push({ identity: each.get(topic) ?? '' });
    }
  }
  const identity = [template, ...found.map((one) => one.identity).filter(Boolean)].join('|');
  if (moved) return { identity, moved, lost: `the topics are now ${template}, before they were ${was.split(' ')[0]}` };
  const lost = found.find((one) => one.lost !== undefined)?.lost;
  const unasked = found.find((one) => one.unasked !== undefined)?.unasked;
  return { identity, ...(lost !== undefined && { lost }), ...(unasked !== undefined && { unasked }) };
}
