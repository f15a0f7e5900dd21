/** The meaning of each code and the remedy, for docs/reference/errors.md. A test holds that every code is here once. */
import type { FaultCode } from '../src/model/fault.ts';

interface Chapter {
  readonly title: string;
  readonly faults: Partial<Record<FaultCode, readonly [means: string, remedy: string]>>;
}

export const FAULT_GUIDE: readonly Chapter[] = [
  {
    title: 'Callbacks',
    faults: {
      'not-json': ['the body is not a JSON object', 'check who calls: the service sends JSON objects'],
      'body-incomplete': ['the body broke off, or came too slowly', 'check the proxy in front and the network'],
      'query-invalid': [
        'CallbackCommand is missing or invalid, or it is not an HTTP request',
        'check who calls; give the service a URL without a query',
      ],
      'callback-invalid': [
        'a field is missing or of the wrong type',
        'none with `app.callbackTokens`: then it is kept in the quarantine instead; otherwise check who calls',
      ],
      'command-mismatch': ['query and body name different commands', 'check who calls'],
      'sign-missing': [
        'Sign or RequestTime is missing',
        'switch authentication on in the console, or leave `app.callbackTokens` out',
      ],
      'sign-stale': [
        'RequestTime is further from this clock than `app.signWindow`',
        'set the clock (NTP); with a proxy that holds requests, raise the window',
      ],
      'sign-wrong': ['Sign fits none of `app.callbackTokens`', 'compare the token with that of the console'],
      'address-refused': [
        'the caller is not in `receiver.allowFrom`',
        'add its range; with a proxy also set `receiver.trustProxy`',
      ],
      'app-mismatch': ['SdkAppid is that of another app', 'compare `app.sdkAppId` with the console'],
      'command-refused': [
        'a “before” command, or another one with `otherCommands: reject`',
        'forward it (`receiver.otherCommands`), allow it (`receiver.allowBefore`), or switch it off in the console',
      ],
      'path-unknown': ['another path than `receiver.path`', 'compare the URL in the console with it'],
      'method-unknown': ['not POST', 'check who calls'],
      'body-too-large': ['the body is larger than `receiver.maxBodyBytes`', 'raise it if such callbacks are real'],
      'rate-limited': [
        'one address sent more callbacks than `receiver.rateLimit`',
        'set `app.callbackTokens`, with a proxy also `receiver.trustProxy`, or raise the limit',
      ],
      internal: ['an internal error of the bridge', 'report it with the line of the log; nothing was answered OK'],
      overloaded: [
        'more callbacks in flight than `receiver.maxInFlight`',
        'check the journal’s disk; raise the limit if memory allows',
      ],
      'forward-failed': ['the upstream handler gave no answer', 'check that handler, and `receiver.otherCommands`'],
    },
  },
  {
    title: 'The journal',
    faults: {
      'journal-in-use': ['another bridge has this journal open', 'stop it, or give this bridge another `journal.file`'],
      'journal-unusable': [
        'the file is of another program or of a newer bridge, or cannot be opened',
        'set `journal.file` to another file, or fix what the message names',
      ],
      'journal-unwritable': [
        'the disk is full or refuses a write, `journal.maxBytes` is reached, another program has the journal locked, or its file was moved',
        'free space, raise the limit, or do what the message says; recording resumes by itself',
      ],
      'journal-groups-full': [
        'a callback of a new group, while the groups take half of `journal.maxBytes`: those known are still recorded',
        'keep strangers out (`app.callbackTokens`, `receiver.allowFrom`); free room with `groups forget` or `groups prune`, or raise `journal.maxBytes`',
      ],
      'quarantine-full': [
        'the quarantine holds 10,000 callbacks, or a tenth of `journal.maxBytes`',
        '`quarantine list` says why they cannot be mapped; then `quarantine retry` or `discard`',
      ],
      stopping: ['the bridge is stopping', 'none: the next start records again'],
    },
  },
  {
    title: 'A destination as a whole',
    faults: {
      'destination-unreachable': ['it does not answer', 'none once it is back: deliveries resume by themselves'],
      'destination-overloaded': [
        'it limits the rate, or its disk is full',
        'give it room; deliveries resume by themselves',
      ],
      'destination-credentials': ['it refuses the user, key or certificate', 'fix the setting that the message names'],
      'destination-missing': ['the topic or index does not exist', 'create it, or set `createTopic` or `createIndex`'],
      'destination-misconfigured': [
        'it exists but cannot be used as configured',
        'fix the setting that the message names',
      ],
    },
  },
  {
    title: 'One event at one destination',
    faults: {
      'event-too-large': ['larger than the destination accepts', 'raise its limit, then `dead-letters retry`'],
      'event-refused': [
        'the destination refuses it for good',
        'change what refuses it (a mapping, a validation), then `dead-letters retry`',
      ],
      'event-unshaped': [
        'the function of `shape.transform` threw, took too long, or returned no object',
        'fix the function, then `dead-letters retry`',
      ],
      'event-conflict': ['others kept writing the same document', 'none: it is retried'],
      'event-unsettled': [
        'it is to be delivered again, waits for an earlier event of its group or a leader of its Kafka partition, or the destination returned no outcome for it',
        'none: it is retried',
      ],
      'copy-unknown': ['the copy cannot be compared now', 'check why its connector waits, then try again'],
    },
  },
  {
    title: 'A message of a topic (group-sync-bridge/consumer)',
    faults: {
      'message-empty': ['it has no value', 'in a topic of groups this is a destroyed group: `parseGroup`'],
      'message-not-json': ['its value is not JSON', 'check who else writes to the topic'],
      'message-invalid': ['it is not an event of the bridge', 'check who else writes to the topic'],
      'message-type-unknown': ['an event of a type unknown to this version', 'skip it, or update'],
      'message-version-unknown': ['a version unknown to this one', 'skip it, or update'],
    },
  },
  {
    title: 'The service’s REST API (reconcile)',
    faults: {
      'service-unreachable': ['it does not answer', 'check `reconcile.api.baseUrl`; the next run resumes'],
      'service-overloaded': ['too many requests', 'lower `reconcile.api.callsPerSecond`'],
      'service-credentials': ['it refuses the signature', 'compare `identifier` and `secretKey` with the console'],
      'service-refused': ['it refuses the call, or is not that API', 'compare `baseUrl` with your app’s region'],
      'reconcile-running': ['a run is in progress', 'wait until it ends: `status` shows it'],
      'reconcile-unconfigured': ['there is no `reconcile:` in the configuration', 'add it'],
    },
  },
  {
    title: 'Groups',
    faults: {
      'group-unknown': ['the journal has no such group', 'check its id in the console'],
      'group-unsettled': [
        'a group cannot be forgotten: a connector still needs its events',
        'wait, resume the connector, or retry or discard its dead letters',
      ],
    },
  },
  {
    title: 'The command line',
    faults: {
      'config-invalid': ['the configuration has problems', 'each is named with line and column'],
      usage: ['the command lacks or misuses an argument or option', '`--help` after the command'],
      'connector-unknown': ['no enabled connector has this name', '`status` lists them'],
      'bridge-unreachable': ['no bridge answers at the admin address', 'start it, or give `--admin`'],
      'address-in-use': ['another program listens on the port', 'stop it, or set `receiver.port` or `admin.port`'],
      'address-unusable': [
        'the host is not an address of this machine, or this user may not use the port',
        'set `host` or `port` of `receiver` or `admin`',
      ],
      'certificate-unusable': ['a certificate or key cannot be used', 'fix the file that the message names'],
      'command-failed': ['the command could not do what was asked', 'the message says why'],
      'token-missing': ['the running bridge requires a token', 'set `admin.token` in the configuration of the command'],
      'token-wrong': ['the token is not that of the running bridge', 'compare `admin.token` with its configuration'],
      'token-guessed': ['too many wrong tokens came from this address', 'wait a while, then use the right one'],
    },
  },
];
