/** Callbacks that the service sends, byte for byte, and others made up for tests. */

export const SDK_APP_ID = '1400701118';
export const COMMAND = 'Group.CallbackAfterGroupInfoChanged';

/** The answer to a callback that is recorded. */
export const OK = { status: 200, text: '{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}' };

export interface Callback {
  readonly search: string;
  readonly body: string;
}

/** Captured from the real service in 2022. */
export const CAPTURE_2022: Callback = {
  search: `SdkAppid=${SDK_APP_ID}&CallbackCommand=${COMMAND}&contenttype=json&ClientIP=113.118.225.178&OptPlatform=RESTAPI`,
  body: '{"CallbackCommand":"Group.CallbackAfterGroupInfoChanged","EventTime":1657389765743,"GroupId":"e6a954aa-2419-4743-b968-a971f8077bf1","Introduction":"test update group","Name":"test update","Operator_Account":"administrator","Type":"AVChatRoom"}',
};

/** The event of the capture, without its id and the time of its receipt. */
export const CAPTURE_2022_EVENT = {
  specversion: '1.0',
  source: `urn:tencent-chat:app:${SDK_APP_ID}`,
  type: 'chat.group.info.changed',
  subject: 'e6a954aa-2419-4743-b968-a971f8077bf1',
  time: '2022-07-09T18:02:45.743Z',
  datacontenttype: 'application/json',
  dataschema: 'urn:group-sync-bridge:event:group-info-changed:1',
  data: {
    groupId: 'e6a954aa-2419-4743-b968-a971f8077bf1',
    groupType: 'AVChatRoom',
    operator: 'administrator',
    changed: { name: 'test update', introduction: 'test update group' },
    occurredAt: 1_657_389_765_743,
    occurredAtFrom: 'callback',
    origin: { platform: 'RESTAPI', clientIp: '113.118.225.178' },
    extra: {},
  },
};

/** The documented sample, without the comments that keep it from being JSON; EventTime is a quoted string there. */
export const DOCUMENTED: Callback = {
  search: `SdkAppid=${SDK_APP_ID}&CallbackCommand=${COMMAND}&contenttype=json&ClientIP=113.118.225.178&OptPlatform=RESTAPI`,
  body: `{
    "CallbackCommand": "Group.CallbackAfterGroupInfoChanged",
    "GroupId": "@TGS#2J4SZEAEL",
    "Type": "Public",
    "Operator_Account": "leckie",
    "Name": "MyFirstGroup",
    "Introduction": "TestIntroduction",
    "Notification": "TestNotification",
    "FaceUrl": "http://this.is.face.url",
    "EventTime": "1670574414123"
}`,
};

/** Returns a query of this app and command; names and values may be replaced, `undefined` leaves one out. */
export function search(changes: Record<string, string | undefined> = {}): string {
  const all = { SdkAppid: SDK_APP_ID, CallbackCommand: COMMAND, contenttype: 'json', ...changes };
  const kept = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return new URLSearchParams(kept).toString();
}

/** Returns the fields of a body; `undefined` leaves one out. */
export function fields(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    CallbackCommand: COMMAND,
    EventTime: 1_700_000_000_000,
    GroupId: '@TGS#TEST',
    Name: 'a name',
    Operator_Account: 'administrator',
    Type: 'Public',
    ...changes,
  };
}

export function body(changes: Record<string, unknown> = {}): string {
  return JSON.stringify(fields(changes));
}

/** Group ids with printable ASCII that has a meaning in URLs, HTML or shells; all of it is allowed. */
export const ODD_GROUP_IDS = [' ', '/', '#', '%', '?', '&', "'", '"', '<'].map((odd) => `@TGS#a${odd}b`);

export const ODD_TEXTS = {
  emoji: 'party 🎉👩‍👩‍👧‍👦',
  cjk: '群公告：今晚八点',
  nul: 'before\u0000after',
  'lone high surrogate': 'x\ud83dy',
  'lone low surrogate': 'x\udc00y',
  'right to left': 'שלום\u202eabc',
  'line separators': 'a\u2028b\u2029c\r\nd',
};
