/** Compares both copies with the client's own list. Called when the load pauses and both connectors are in step. */
import { changedTo, FIELDS, type Field, fieldsOf, type Ledger, numberIn, type SentGroup } from './ledger.ts';
import { readTopic, type TopicEvent } from './topic.ts';

export interface Copies {
  readonly brokers: string;
  readonly topic: string;
  readonly elasticsearchUrl: string;
  readonly index: string;
}

/** One thing that must not be. The first two are losses. */
export interface Finding {
  readonly kind: 'missing in Kafka' | 'missing in Elasticsearch' | 'out of order' | 'not as sent' | 'copies differ';
  readonly groupId: string;
  /** The callback's number in its group, its EventTime and the round it was sent in. */
  readonly number: number;
  readonly eventTime: number;
  readonly round: number;
  readonly detail: string;
}

/** The outcome of one round's callbacks. */
export interface RoundCount {
  ok: number;
  lost: number;
  /** Records in Kafka beyond the first of an event. */
  duplicates: number;
}

export interface Verdict {
  readonly findings: readonly Finding[];
  readonly rounds: ReadonlyMap<number, Readonly<RoundCount>>;
  readonly answeredOk: number;
  /** Sent without an OK, and in Kafka nevertheless. */
  readonly deliveredWithoutOk: number;
  readonly records: number;
  readonly duplicates: number;
  /** Dead letters of the connectors, whatever the copies hold. */
  readonly deadLetters: number;
}

/** The records of one group in Kafka. */
interface Sighting {
  /** By number: how many records. */
  readonly counts: number[];
  readonly ids: string[];
  partition: number;
  /** The highest number seen so far. */
  highest: number;
}

/** Reads both copies back whole; `withOthers` looks at the groups of the list alone. */
export async function judgeCopies(
  ledger: Ledger,
  copies: Copies,
  deadLetters: number,
  withOthers = false,
): Promise<Verdict> {
  const topic = watchTopic(ledger);
  await readTopic(copies.brokers, copies.topic, (one) => {
    if (!withOthers || ledger.groups.has(one.key)) topic.take(one);
  });
  const documents = await readDocuments(copies, [...ledger.groups.keys()]);
  return topic.verdict(documents, deadLetters);
}

/** Takes the records in the order of the topic, then the documents. */
export function watchTopic(ledger: Ledger) {
  const findings: Finding[] = [];
  const sightings = new Map<string, Sighting>();
  let records = 0;

  const report = (kind: Finding['kind'], group: SentGroup, number: number, detail: string): void => {
    const sent = group.sent[number];
    const { eventTime, round } = sent ?? { eventTime: 0, round: 0 };
    findings.push({ kind, groupId: group.groupId, number, eventTime, round, detail });
  };

  const take = ({ partition, key, event }: TopicEvent): void => {
    records++;
    const { data } = event;
    const group = ledger.groups.get(key);
    const number = numberIn(Object.values(data.changed)[0]);
    const sent = group?.sent[number ?? -1];
    if (group === undefined || number === undefined || sent === undefined) {
      const stranger = group ?? { groupId: key, sent: [] };
      report('not as sent', stranger, number ?? -1, `a stranger in Kafka: ${JSON.stringify(data)}`);
      return;
    }
    const wanted = Object.fromEntries(fieldsOf(number).map((field) => [field, changedTo(field, number)]));
    if (data.occurredAt !== sent.eventTime || !sameFields(data.changed, wanted)) {
      report('not as sent', group, number, `in Kafka: ${JSON.stringify(data)}`);
    }
    const seen = sightings.get(key) ?? { counts: [], ids: [], partition, highest: -1 };
    sightings.set(key, seen);
    if (seen.partition !== partition) {
      report('out of order', group, number, `its group stands in partitions ${seen.partition} and ${partition}`);
    }
    const count = seen.counts[number] ?? 0;
    seen.counts[number] = count + 1;
    if (count > 0) {
      if (seen.ids[number] !== event.id) report('not as sent', group, number, 'it has two event ids');
      return;
    }
    seen.ids[number] = event.id;
    // Whatever was sent after its OK must come after it. Without an OK, its next one may have overtaken it on the way.
    if (sent.ok && number < seen.highest) {
      report('out of order', group, number, `it first stands after number ${seen.highest}, which was sent later`);
    }
    seen.highest = Math.max(seen.highest, number);
  };

  const judgeDocument = (group: SentGroup, document: Readonly<Record<string, unknown>> | undefined): void => {
    const counts = sightings.get(group.groupId)?.counts ?? [];
    for (const field of FIELDS) {
      const value = document?.[field];
      const stands = value === undefined ? -1 : (numberIn(value) ?? Number.NaN);
      const latestOk = latestOf(group, field, (number) => group.sent[number]?.ok === true);
      const inKafka = latestOf(group, field, (number) => (counts[number] ?? 0) > 0);
      const says = `${field} is ${JSON.stringify(value)}`;
      if (stands >= 0 && (value !== changedTo(field, stands) || !fieldsOf(stands).includes(field))) {
        report('not as sent', group, stands, `in Elasticsearch ${says}`);
      } else if (Number.isNaN(stands) || stands < latestOk) {
        report('missing in Elasticsearch', group, latestOk, says);
      } else if (stands !== inKafka) {
        report('copies differ', group, stands, `in Elasticsearch ${says}, in Kafka it ends with number ${inKafka}`);
      }
    }
  };

  const verdict = (documents: ReadonlyMap<string, Readonly<Record<string, unknown>>>, deadLetters: number): Verdict => {
    const rounds = new Map<number, RoundCount>();
    let deliveredWithoutOk = 0;
    let duplicates = 0;
    for (const group of ledger.groups.values()) {
      const counts = sightings.get(group.groupId)?.counts ?? [];
      group.sent.forEach(({ ok, round }, number) => {
        const count = counts[number] ?? 0;
        const of = rounds.get(round) ?? { ok: 0, lost: 0, duplicates: 0 };
        rounds.set(round, of);
        if (ok) of.ok++;
        else if (count > 0) deliveredWithoutOk++;
        if (ok && count === 0) report('missing in Kafka', group, number, 'it was answered OK');
        of.duplicates += Math.max(0, count - 1);
        duplicates += Math.max(0, count - 1);
      });
      judgeDocument(group, documents.get(group.groupId));
    }
    for (const { kind, round } of findings) {
      const of = rounds.get(round);
      if (of !== undefined && kind.startsWith('missing')) of.lost++;
    }
    return { findings, rounds, answeredOk: ledger.answeredOk, deliveredWithoutOk, records, duplicates, deadLetters };
  };
  return { take, verdict };
}

function sameFields(changed: object, wanted: Readonly<Record<string, string>>): boolean {
  const found = Object.entries(changed);
  return found.length === Object.keys(wanted).length && found.every(([field, value]) => wanted[field] === value);
}

/** The highest number of a callback that changed this field and is `such`; -1 when there is none. */
function latestOf(group: SentGroup, field: Field, such: (number: number) => boolean): number {
  for (let number = group.sent.length - 1; number >= 0; number--) {
    if (fieldsOf(number).includes(field) && such(number)) return number;
  }
  return -1;
}

/** The documents of these groups as they stand now, searchable or not. */
async function readDocuments(
  { elasticsearchUrl, index }: Copies,
  ids: readonly string[],
): Promise<Map<string, Record<string, unknown>>> {
  const documents = new Map<string, Record<string, unknown>>();
  for (let start = 0; start < ids.length; start += 500) {
    const response = await fetch(`${elasticsearchUrl}/${index}/_mget`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ids: ids.slice(start, start + 500) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`Elasticsearch answered ${response.status}: ${text}`);
    const { docs } = JSON.parse(text) as { docs: { _id: string; _source?: Record<string, unknown> }[] };
    for (const { _id, _source } of docs) if (_source !== undefined) documents.set(_id, _source);
  }
  return documents;
}
