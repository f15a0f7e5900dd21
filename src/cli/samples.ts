import { signOf } from '../intake/authentication.ts';
import { GROUP_INFO_CHANGED } from '../intake/commands.ts';

export interface SampleCallback {
  readonly query: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The sample of the vendor's documentation, without its comments. */
export function documentedSample(sdkAppId: string): SampleCallback {
  return {
    query: { ...common(sdkAppId), ClientIP: '113.118.225.178', OptPlatform: 'RESTAPI' },
    body: JSON.stringify({
      CallbackCommand: GROUP_INFO_CHANGED,
      GroupId: '@TGS#2J4SZEAEL',
      Type: 'Public',
      Operator_Account: 'leckie',
      Name: 'MyFirstGroup',
      Introduction: 'TestIntroduction',
      Notification: 'TestNotification',
      FaceUrl: 'http://this.is.face.url',
      EventTime: '1670574414123',
    }),
  };
}

/** The `index`-th of a run of made-up callbacks over `groups` groups; no two are the same event. `at` in ms since 1970. */
export function generatedSample(sdkAppId: string, index: number, groups: number, at: number): SampleCallback {
  const turn = Math.floor(index / groups);
  const field = ['Name', 'Introduction', 'Notification', 'FaceUrl'][turn % 4] ?? 'Name';
  const value = field === 'FaceUrl' ? `https://faces.example/${index}.png` : `${field} ${index}`;
  return {
    query: { ...common(sdkAppId), ClientIP: '127.0.0.1', OptPlatform: 'RESTAPI' },
    body: JSON.stringify({
      CallbackCommand: GROUP_INFO_CHANGED,
      EventTime: at + turn,
      [field]: value,
      GroupId: `@TGS#SAMPLE${index % groups}`,
      Operator_Account: 'administrator',
      Type: 'Public',
    }),
  };
}

function common(SdkAppid: string): Record<string, string> {
  return { SdkAppid, CallbackCommand: GROUP_INFO_CHANGED, contenttype: 'json' };
}

/** The URL as the service would call it, signed when there is a token. `now` in milliseconds. */
export function callbackUrl(
  to: URL,
  query: Readonly<Record<string, string>>,
  token: string | undefined,
  now: number,
): URL {
  const url = new URL(to);
  url.search = new URLSearchParams(query).toString();
  if (token !== undefined) {
    const requestTime = String(Math.floor(now / 1000));
    url.searchParams.set('Sign', signOf(token, requestTime));
    url.searchParams.set('RequestTime', requestTime);
  }
  return url;
}
