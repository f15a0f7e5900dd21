import { z } from 'zod';
import { BridgeError } from '../../model/fault.ts';
import type { NoticeCode } from './notices.ts';
import type { ConsolePorts } from './ports.ts';

export type Result = readonly [NoticeCode] | readonly [NoticeCode, number];

const seq = z
  .string()
  .regex(/^[1-9]\d{0,14}$/)
  .transform(Number);
const connector = z.object({ connector: z.string().min(1) });
const some = connector
  .extend({ seq: seq.optional(), cause: z.string().max(64).optional() })
  .transform(({ connector, seq, cause }) => ({
    connector,
    choice: { cause, ...(seq !== undefined && { seqs: [seq] }) },
  }));
const replay = z.discriminatedUnion('from', [
  connector.extend({ from: z.enum(['beginning', 'groups']) }),
  connector.extend({ from: z.literal('seq'), seq }),
  connector.extend({
    from: z.literal('time'),
    // The browser's field has no zone; the form says UTC.
    time: z
      .string()
      .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?$/)
      .transform((text) => Date.parse(`${text}Z`))
      .pipe(z.int().nonnegative()),
  }),
]);
const asked = z.object({ group: z.string().min(1) });
const kept = z.object({ id: seq });
const run = z.object({ dryRun: z.literal('yes').optional() });

/** The actions by the last part of their path. They throw a ZodError or a BridgeError. */
const ACTIONS: Readonly<
  Record<string, (ports: ConsolePorts, form: Readonly<Record<string, unknown>>) => Promise<Result>>
> = {
  async pause({ delivery: { operations } }, form) {
    await operations.pause(connector.parse(form).connector);
    return ['paused'];
  },
  async resume({ delivery: { operations } }, form) {
    await operations.resume(connector.parse(form).connector);
    return ['resumed'];
  },
  async replay({ delivery: { operations } }, form) {
    const asked = replay.parse(form);
    if (asked.from === 'groups') return ['restoring', operations.resync(asked.connector)];
    const from = asked.from === 'seq' ? { seq: asked.seq } : asked.from === 'time' ? { time: asked.time } : asked.from;
    const { events } = operations.replay(asked.connector, from);
    return events === 0 ? ['nothing-to-replay'] : ['replaying', events];
  },
  async bring({ delivery, status }, form) {
    const { group } = asked.parse(form);
    for (const { name } of status().connectors) {
      if (delivery.destination(name).holdsGroups) delivery.operations.bring(name, group);
    }
    return ['brought'];
  },
  async retry({ delivery: { operations } }, form) {
    const asked = some.parse(form);
    return ['retried', await operations.retry(asked.connector, asked.choice)];
  },
  async discard({ delivery: { operations } }, form) {
    const asked = some.parse(form);
    return ['discarded', await operations.discard(asked.connector, asked.choice)];
  },
  async map({ receiver }) {
    return ['mapped', (await receiver.quarantine.remap()).mapped];
  },
  async 'discard-quarantined'({ receiver }, form) {
    return ['quarantine-discarded', await receiver.quarantine.discard([kept.parse(form).id])];
  },
  async reconcile({ reconcile }, form) {
    const { dryRun } = run.parse(form);
    const configured = reconcile.reconciler();
    if (configured === undefined) return ['reconcile-unconfigured'];
    configured.start({ dryRun: dryRun === 'yes' });
    return ['reconcile-started'];
  },
  async sample({ receiver, status }) {
    const sendSample = receiver.sampler();
    // Real copies get a made-up group only while there is nothing else.
    if (sendSample === undefined || status().journal.head > 0) return ['sample-too-late'];
    await sendSample();
    return ['sample-sent'];
  },
  async 'reconcile-stop'({ reconcile }) {
    await reconcile.reconciler()?.stop();
    return ['reconcile-stopped'];
  },
};

export async function act(
  ports: ConsolePorts,
  action: string,
  form: Readonly<Record<string, unknown>>,
): Promise<Result | undefined> {
  if (!Object.hasOwn(ACTIONS, action)) return undefined;
  try {
    return await ACTIONS[action]?.(ports, form);
  } catch (thrown) {
    if (thrown instanceof z.ZodError) return ['invalid'];
    if (!(thrown instanceof BridgeError)) throw thrown;
    const { code } = thrown.fault;
    if (code === 'connector-unknown' || code === 'reconcile-running') return [code];
    return [code === 'usage' ? 'invalid' : 'failed'];
  }
}
