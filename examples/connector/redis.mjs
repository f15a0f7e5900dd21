/** Keeps each group as JSON under a key of Redis. Any number of bridges may write the same keys. */
import { createClient } from '@redis/client';
import { differences, isForeign, join, messageOf, newGroup, repair, Unreachable, z } from 'group-sync-bridge/connector';

const options = z.strictObject({
  url: z
    .string()
    .refine((text) => /^rediss?:\/\/./.test(text), {
      error: 'a redis:// URL is expected, such as redis://127.0.0.1:6379',
    })
    .describe('Where Redis is; credentials may stand in it.'),
  prefix: z.string().min(1).describe('What the keys of the groups begin with.'),
  timeoutMs: z.int().min(1).default(5_000).describe('How long an answer may take.'),
});

/** Writes a value where the one that was read lies there still: somebody else may have been faster. */
const WRITE = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1`;
/** How often a group may be changed by others between reading and writing it. */
const ROUNDS = 10;

/** @type {import('group-sync-bridge/connector').Connector<import('group-sync-bridge/connector').z.output<typeof options>>} */
export default {
  kind: 'redis',
  summary: 'Keeps each group as JSON under a key of Redis.',
  options,
  readsBack: true,
  holds: () => 'groups',
  // Bridges and connectors may share the keys: what they write is merged.
  places: ({ url, prefix }) => [
    { name: `keys ${prefix}… of ${withoutCredentials(url)}`, option: 'prefix', use: 'groups' },
  ],

  async open(options, host, signal) {
    const redis = await connect(options, host, signal);
    const keyOf = (groupId) => options.prefix + groupId;
    return {
      holds: 'groups',

      async put(states, how, signal) {
        const outcomes = new Map();
        let left = states;
        for (let round = 0; left.length > 0 && round < ROUNDS; round++) {
          const texts = await read(
            redis,
            left.map(({ groupId }) => keyOf(groupId)),
            signal,
          );
          const writes = [];
          for (const [index, state] of left.entries()) {
            const { groupId } = state;
            const before = groupIn(texts[index], groupId);
            if (isForeign(before, state.source)) throw ofAnotherApp(before, options, host);
            // join: the later version of each field wins; repair: what somebody changed by hand is put right, too.
            const after = how === 'join' ? join(before, state) : repair(before, state);
            const receipt = keyOf(groupId);
            if (after === before) outcomes.set(groupId, { kind: 'superseded', receipt });
            else if (how === 'compare') outcomes.set(groupId, { kind: 'delivered', receipt });
            else writes.push({ state, receipt, args: [texts[index] ?? '', JSON.stringify(after)] });
          }
          const written = await redis(signal, (client) =>
            Promise.all(writes.map(({ receipt, args }) => client.eval(WRITE, { keys: [receipt], arguments: args }))),
          );
          for (const [index, { state, receipt }] of writes.entries()) {
            if (written[index] === 1) outcomes.set(state.groupId, { kind: 'delivered', receipt });
          }
          left = writes.filter((_, index) => written[index] !== 1).map(({ state }) => state);
        }
        for (const { groupId } of left) outcomes.set(groupId, { kind: 'retry', fault: conflict(groupId, host) });
        return outcomes;
      },

      async read(states, signal) {
        const texts = await read(
          redis,
          states.map(({ groupId }) => keyOf(groupId)),
          signal,
        );
        return new Map(
          states.map((state, index) => {
            const where = keyOf(state.groupId);
            if (texts[index] === null) return [state.groupId, { status: 'missing', where }];
            const differs = differences(groupIn(texts[index], state.groupId), state);
            return [
              state.groupId,
              differs.length === 0 ? { status: 'in-step', where } : { status: 'differs', where, differs },
            ];
          }),
        );
      },

      /** A mark beside the groups tells whether these are the keys that were written to before. */
      async identify(before, signal) {
        const mark = `${options.prefix}\u0000mark`;
        const identity = await redis(signal, async (client) => {
          await client.set(mark, crypto.randomUUID(), { condition: 'NX' });
          return client.get(mark);
        });
        const lost = before !== undefined && before !== identity;
        return { identity, ...(lost && { lost: `the keys ${options.prefix}… were deleted, or are of another Redis` }) };
      },

      close: async () => redis.close(),
    };
  },

  async *examine(options, host, signal) {
    const redis = await connect(options, host, signal);
    try {
      const info = await redis(signal, (client) => client.info('server'));
      yield { step: 'server', state: 'well', says: `answers: Redis ${/redis_version:(\S+)/.exec(info)?.[1]}` };
    } finally {
      redis.close();
    }
  },
};

/** Returns what asks this Redis: each answer comes in time, or what is thrown says why there is none. */
async function connect(options, host, signal) {
  signal.throwIfAborted();
  const client = createClient({
    url: options.url,
    disableOfflineQueue: true,
    // The bridge tries again, by opening anew.
    socket: { connectTimeout: options.timeoutMs, reconnectStrategy: false },
  });
  // What goes wrong is thrown where it is waited for; an event that nobody hears would end the thread.
  client.on('error', () => {});
  const close = () => void (client.isOpen && client.destroy());
  const ask = async (signal, work) => {
    signal.throwIfAborted();
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs)]);
    try {
      if (!client.isOpen) await client.connect();
      return await Promise.race([work(client), aborted(inTime)]);
    } catch (thrown) {
      // What is under way would be answered to the next question.
      if (inTime.aborted) close();
      signal.throwIfAborted();
      throw unreachable(thrown, options, host);
    }
  };
  await ask(signal, (client) => client.ping());
  return Object.assign(ask, { close });
}

const aborted = (signal) =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

const read = (redis, keys, signal) => redis(signal, (client) => (keys.length === 0 ? [] : client.mGet(keys)));

/** What lies under a key as the group it stands for. */
const groupIn = (text, groupId) => (text === null ? newGroup(groupId) : { ...newGroup(groupId), ...JSON.parse(text) });

/** Says what is wrong with Redis as a whole: no event is charged with it. */
function unreachable(thrown, { url }, { name }) {
  const text = messageOf(thrown);
  const [code, suggestion] = /NOAUTH|WRONGPASS|NOPERM/.test(text)
    ? ['destination-credentials', 'correct the user and the password in the URL, or what they may do']
    : /^OOM/.test(text)
      ? ['destination-overloaded', 'give Redis more memory: maxmemory']
      : ['destination-unreachable', 'look whether Redis runs there'];
  const message = `Redis at ${withoutCredentials(url)} cannot be used: ${text}`;
  return new Unreachable({ code, message, path: `connectors.${name}.url`, suggestion }, thrown);
}

function ofAnotherApp({ source }, { prefix }, { name, source: own }) {
  const message = `The keys ${prefix}… hold groups of ${source}, but this bridge is for ${own}`;
  const suggestion = 'give each app a prefix of its own';
  return new Unreachable({ code: 'destination-misconfigured', message, path: `connectors.${name}.prefix`, suggestion });
}

function conflict(groupId, { name }) {
  const message = `The group ${groupId} was changed by others ${ROUNDS} times between reading and writing it`;
  const suggestion = 'see who else writes these keys; the next attempt is on its way';
  return { code: 'event-conflict', message, path: `connectors.${name}.prefix`, suggestion };
}

function withoutCredentials(text) {
  const { protocol, host, pathname } = new URL(text);
  return `${protocol}//${host}${pathname}`;
}
