/** Whatever somebody calls a group, a custom field or a connector, it is a name like any other. */
import { expect, onTestFinished, test } from 'vitest';
import { bridgeHome, inStep, startBridgeProcess } from '../support/bridge.process.ts';
import { body, search } from '../support/callbacks.ts';

const NAMES = Object.getOwnPropertyNames(Object.prototype);
const CONNECTORS = NAMES.filter((name) => /^[a-z][a-z0-9-]*$/i.test(name));

test('names of Object.prototype', async () => {
  const home = bridgeHome((folder) =>
    Object.fromEntries(CONNECTORS.map((name) => [name, { kind: 'file', path: `${folder}/${name}.ndjson` }])),
  );
  onTestFinished(home.remove);
  const bridge = await startBridgeProcess(home);
  const fields = NAMES.map((Key) => ({ Key, Value: `value of ${Key}` }));
  // Two callbacks, so that there is a change from something to something.
  for (const [n, GroupId] of [...NAMES, ...NAMES].entries()) {
    const UserDefinedDataList =
      n < NAMES.length ? fields : fields.map(({ Key, Value }) => ({ Key, Value: `later ${Value}` }));
    const callback = {
      search: search(),
      body: body({ GroupId, UserDefinedDataList, EventTime: 1_670_574_414_123 + n }),
    };
    expect((await bridge.post(callback)).status).toBe(200);
  }
  await inStep(bridge);
  const get = async (path: string): Promise<string> => {
    const response = await fetch(bridge.adminUrl + path);
    expect(response.status, path).toBe(200);
    return response.text();
  };
  for (const name of NAMES) {
    const id = encodeURIComponent(name);
    const { group } = JSON.parse(await get(`/api/group?id=${id}`));
    expect(Object.entries(group.customFields).sort()).toEqual(
      NAMES.map((key) => [key, `later value of ${key}`]).sort(),
    );
    for (const path of [`/group?id=${id}`, `/groups?search=${id}`, `/events?group=${id}`]) {
      const page = await get(path);
      expect(page, path).not.toContain('cannot be shown');
      expect(page, path).toContain(name);
    }
  }
  for (const path of ['/', '/dead-letters', ...CONNECTORS.map((name) => `/dead-letters?connector=${name}`)]) {
    expect(await get(path)).not.toContain('cannot be shown');
  }
  const { connectors } = JSON.parse(await get('/api/status'));
  expect(connectors.map(({ name, kind }: { name: string; kind: string }) => [name, kind])).toEqual(
    CONNECTORS.map((name) => [name, 'file']),
  );
  const nobody = await fetch(`${bridge.adminUrl}/api/connectors/__proto__/dead-letters`);
  expect(nobody.status).toBe(404);
});
