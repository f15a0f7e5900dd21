import { setTimeout as delay } from 'node:timers/promises';
import type { z } from 'zod';
import { deadLetter, deadLettersAnswer, discardAnswer, retryAnswer } from '../admin/contract.ts';
import { BridgeError } from '../model/fault.ts';
import { type AdminOptions, adminClient, inPath } from './admin.ts';
import type { DeadLetter, DeadLetters } from './dead-letters.ts';
import { progress } from './terminal.ts';

/** The bridge tries a limited number at a time, held in memory: these get a while to be settled before the next. */
const SETTLE_MS = 500;

/** The dead letters in the journal of a running bridge, by its admin API. */
export function deadLettersOfBridge(connector: string, options: AdminOptions): DeadLetters {
  const client = adminClient(options);
  const param = inPath(connector);
  const retryOnce = (seqs: readonly number[]) =>
    client.ask(retryAnswer, (api) =>
      api.connectors[':name']['dead-letters'].retry.$post({ param, json: selection(seqs) }),
    );
  return {
    naming: 'seq',
    async list(limit) {
      const { deadLetters } = await client.ask(deadLettersAnswer, (api) =>
        api.connectors[':name']['dead-letters'].$get({ param, query: { limit: String(limit) } }),
      );
      return deadLetters.map(toDeadLetter);
    },
    async show(name) {
      const seq = String(seqOf(name));
      return toDeadLetter(
        await client.ask(deadLetter, (api) =>
          api.connectors[':name']['dead-letters'][':seq{\\d+}'].$get({ param: { ...param, seq } }),
        ),
      );
    },
    async retry(names) {
      const { deadLetters } = await client.connector(connector);
      if (names.length > 0) return retryOnce(names.map(seqOf));
      const bar = progress(`retrying for ${connector}`, deadLetters);
      let taken = 0;
      let left = deadLetters;
      while (taken < deadLetters) {
        const answer = await retryOnce([]);
        if (answer.taken === 0) break;
        taken += answer.taken;
        left = answer.left;
        bar.set(Math.min(taken, deadLetters));
        if (left > 0) await delay(SETTLE_MS);
      }
      bar.end();
      return { taken, left };
    },
    async discard(names) {
      const json = selection(names.map(seqOf));
      const { discarded } = await client.ask(discardAnswer, (api) =>
        api.connectors[':name']['dead-letters'].discard.$post({ param, json }),
      );
      return discarded;
    },
    async close() {},
  };
}

/** The API takes all where no `seqs` are given. */
function selection(seqs: readonly number[]): { seqs?: number[] } {
  return seqs.length > 0 ? { seqs: [...seqs] } : {};
}

function seqOf(name: string): number {
  if (!name.includes('@')) return Number(name);
  const message = `${name} names a dead letter of a worker, and this is a bridge`;
  throw new BridgeError({ code: 'usage', message });
}

function toDeadLetter(json: z.output<typeof deadLetter>): DeadLetter {
  const { seq, deadAt, attempts, fault, event } = json;
  const content = [['event', JSON.stringify(event, null, 2)]] as const;
  return { name: String(seq), deadAt, attempts, groupId: event.subject, fault, content, json };
}
