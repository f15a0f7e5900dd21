/**
 * Unique callbacks as bytes: all are equally long, so one buffer per connection serves for all of its requests and only
 * the digits that differ are written anew.
 */
const SDK_APP_ID = '1400701118';
const COMMAND = 'Group.CallbackAfterGroupInfoChanged';
const QUERY = `SdkAppid=${SDK_APP_ID}&CallbackCommand=${COMMAND}&contenttype=json&ClientIP=113.118.225.178&OptPlatform=RESTAPI`;

/** The width of numbers in a body; Names keep leading zeros. */
const GROUP_DIGITS = 6;
const TIME_DIGITS = 13;
const NUMBER_DIGITS = 10;
const DUE_DIGITS = 16;

const NAME = /^bench (\S+) (\d{10}) (\d{16})$/;

/** The facts about a callback that its Name holds. */
export interface NameOf {
  readonly run: string;
  readonly number: number;
  /** The time at which it was due, in microseconds since 1970. */
  readonly dueAt: number;
}

export function readName(name: string): NameOf | undefined {
  const [, run, number, dueAt] = NAME.exec(name) ?? [];
  return run === undefined ? undefined : { run, number: Number(number), dueAt: Number(dueAt) };
}

export interface RequestBuffer {
  /** The whole request; the same memory at every call, so write it before the next one. */
  next(group: number, number: number, dueAt: number, now: number): Buffer;
}

/** `url` of a receiver, `run`: a word that tells the callbacks of one load from those of all others. */
export function createRequestBuffer(url: URL, run: string): RequestBuffer {
  const field = (digits: number): string => '~'.repeat(digits);
  const body =
    `{"CallbackCommand":"${COMMAND}","EventTime":${field(TIME_DIGITS)},"GroupId":"@TGS#BENCH${field(GROUP_DIGITS)}",` +
    `"Introduction":"What this group is about, as its owner put it","Name":"bench ${run} ${field(NUMBER_DIGITS)} ${field(DUE_DIGITS)}",` +
    `"Operator_Account":"administrator","Type":"Public"}`;
  const head =
    `POST ${url.pathname}?${QUERY} HTTP/1.1\r\nHost: ${url.host}\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${body.length}\r\n\r\n`;
  const bytes = Buffer.from(head + body, 'latin1');
  const offset = (digits: number, after: string): number => {
    const at = bytes.indexOf(after + field(digits)) + after.length;
    if (at < after.length) throw new Error(`no field after ${after}`);
    return at;
  };
  const at = {
    time: offset(TIME_DIGITS, '"EventTime":'),
    group: offset(GROUP_DIGITS, '"GroupId":"@TGS#BENCH'),
    number: offset(NUMBER_DIGITS, `bench ${run} `),
    due: 0,
  };
  at.due = at.number + NUMBER_DIGITS + 1;
  const put = (value: number, from: number, digits: number): void => {
    let rest = value;
    for (let place = from + digits - 1; place >= from; place--) {
      const tenth = Math.floor(rest / 10);
      bytes[place] = 48 + rest - tenth * 10;
      rest = tenth;
    }
  };
  return {
    next(group, number, dueAt, now) {
      put(now, at.time, TIME_DIGITS);
      put(group, at.group, GROUP_DIGITS);
      put(number, at.number, NUMBER_DIGITS);
      put(dueAt, at.due, DUE_DIGITS);
      return bytes;
    },
  };
}
