import { Hono, type MiddlewareHandler } from 'hono';
import { createRateLimit } from '../http/rate-limit.ts';
import { isLocal } from '../model/address.ts';
import { describeFault, faultOf, type HttpFault, isHttpCode, messageOf } from '../model/fault.ts';
import { truncate } from '../model/text.ts';
import { callerOf, checkAddress, senderOf } from './address.ts';
import { checkApp, checkSign } from './authentication.ts';
import { createBodyReader } from './body.ts';
import { COMMANDS, commandLabel, misnamedIn } from './commands.ts';
import {
  type ReceiverContext,
  type ReceiverEnv,
  type ReceiverPorts,
  type ReceiverSettings,
  refuse,
} from './context.ts';
import { dispatch } from './dispatch.ts';
import { NO_COMMAND, readQuery, splitTarget } from './request.ts';

/** `POST {path}`: admit, authenticate, read, dispatch; each step answers what it refuses (docs/decisions/0014). */
export function createReceiver(settings: ReceiverSettings, ports: ReceiverPorts): Hono<ReceiverEnv> {
  const { path, healthPath } = settings;
  const app = new Hono<ReceiverEnv>();
  const refuseStrayed = (context: ReceiverContext, fault: HttpFault) => {
    const { path } = splitTarget(context.env.incoming.url ?? '');
    // Without the query, which may hold a Sign.
    const what = `${context.req.method} ${path.length <= 200 ? path : `${truncate(path, 200)}…`}`;
    const peer = peerOf(context, ports) ?? 'unknown';
    ports.signals.emit('request.strayed', { peer, what, why: describeFault(fault), code: fault.code });
    return refuse(context, fault);
  };
  app.use(endConnections(ports));
  // Compares the target as it came, which is also forwarded, not as a router reads it.
  app.use(async (context, next) => {
    // Some proxies send the absolute form.
    const target = context.env.incoming.url?.replace(/^https?:\/\/[^/?#]*/i, '') ?? '';
    const { path: asked, search } = splitTarget(target);
    context.set('search', search);
    if (asked === healthPath && /^(GET|HEAD)$/.test(context.req.method)) return answerHealth(context, ports);
    return isAt(path, asked) ? next() : refuseStrayed(context, NOTHING_HERE);
  });
  app.post(
    '*',
    observe(settings, ports),
    admit(settings, ports),
    limitRate(settings, ports),
    authenticate(settings, ports),
    read(settings),
    limitInFlight(settings.maxInFlight),
    dispatch(settings, ports),
  );
  app.all('*', (context) => {
    context.header('allow', 'POST');
    const message = `${context.req.method} is not answered here, POST is`;
    return refuseStrayed(context, { code: 'method-unknown', message });
  });
  app.onError((thrown, context) => {
    const fault = asHttpFault(thrown);
    if (fault.code === 'internal') ports.signals.emit('callback.crashed', { message: messageOf(thrown) });
    return refuse(context, fault);
  });
  return app;
}

const NOTHING_HERE: HttpFault = {
  code: 'path-unknown',
  message: 'nothing is here',
  suggestion: 'compare receiver.path with the callback URL in the vendor’s console',
};

/** A trailing slash, in the console's URL or in the setting, is a common slip, and the same path. */
function isAt(path: string, asked: string): boolean {
  return path.replace(/\/$/, '') === asked.replace(/\/$/, '');
}

/** Tells a load balancer whether to send callbacks here; anybody may ask. */
function answerHealth(context: ReceiverContext, { stopping, recording = () => true }: ReceiverPorts): Response {
  const well = !stopping() && recording();
  return context.json({ status: well ? 'ok' : 'not ready' }, well ? 200 : 503, { 'cache-control': 'no-store' });
}

const peerOf = (context: ReceiverContext, ports: ReceiverPorts): string | undefined => {
  const { socket } = context.env.incoming;
  return ports.peerOf?.(socket) ?? socket.remoteAddress;
};

/** While the bridge stops, has each answer end its connection. */
function endConnections({ stopping }: ReceiverPorts): MiddlewareHandler<ReceiverEnv> {
  return async (context, next) => {
    await next();
    if (stopping()) context.header('connection', 'close');
  };
}

/** Reports to log, metrics and traces how each callback was answered. */
function observe({ path, proxies }: ReceiverSettings, ports: ReceiverPorts): MiddlewareHandler<ReceiverEnv> {
  const { signals, trace } = ports;
  return async (context, next) => {
    const start = performance.now();
    const { headers } = context.env.incoming;
    const span = trace?.(headers, path);
    context.set('trace', span);
    context.set('caller', callerOf(peerOf(context, ports), headers['x-forwarded-for']?.toString(), proxies));
    context.set('label', commandLabel(undefined));
    await (span === undefined ? next() : span.within(next));
    const { label: command, outcome, fault, caller, event } = context.var;
    const ms = performance.now() - start;
    const refused = fault !== undefined && { fault, sender: caller ?? 'unknown' };
    const { status } = context.res;
    const misnamed = event === undefined ? [] : misnamedIn(event.data.extra);
    const became = event !== undefined && { event, ...(misnamed.length > 0 && { misnamed }) };
    signals.emit('callback.answered', { command, outcome, status, ms, ...refused, ...became });
    span?.end({ command, outcome, status, fault });
  };
}

function admit({ allowed, allowService }: ReceiverSettings, ports: ReceiverPorts): MiddlewareHandler<ReceiverEnv> {
  const { serviceAddresses } = ports;
  return async (context, next) => {
    const caller = context.get('caller');
    const service = allowService ? serviceAddresses?.() : undefined;
    const fault = checkAddress(caller, allowService && !service ? undefined : allowed, service);
    return fault === undefined ? next() : refuse(context, fault);
  };
}

const RATE_WINDOW_S = 10;

/** Limits each sender, so that one who floods the receiver does not crowd out the others. */
function limitRate({ rate }: ReceiverSettings, { clock }: ReceiverPorts): MiddlewareHandler<ReceiverEnv> {
  if (rate === undefined) return (_, next) => next();
  const { perSecond, local } = rate;
  const limit = createRateLimit(clock, perSecond * RATE_WINDOW_S, RATE_WINDOW_S * 1_000);
  return async (context, next) => {
    const caller = context.get('caller');
    if ((!local && isLocal(caller)) || limit.take(senderOf(caller))) return next();
    context.header('retry-after', String(RATE_WINDOW_S));
    const suggestion =
      'set app.callbackTokens, and receiver.trustProxy where a proxy stands before the bridge; receiver.rateLimit is the limit';
    const message = `more than ${perSecond} callbacks a second came from this address`;
    return refuse(context, { code: 'rate-limited', message, suggestion });
  };
}

/** Admits callbacks for this app, signed if a Sign is required. */
function authenticate(
  { sdkAppId, sign }: ReceiverSettings,
  { clock, service }: ReceiverPorts,
): MiddlewareHandler<ReceiverEnv> {
  return async (context, next) => {
    const query = readQuery(context.get('search'));
    if (!query.ok) return refuse(context, query.fault);
    context.set('label', commandLabel(query.value.command));
    const times = [clock.now(), service?.now() ?? clock.now()];
    // The Sign is checked first: without one, a caller does not learn whose app this is.
    const fault = (sign && checkSign(query.value, sign, times)) ?? checkApp(query.value, sdkAppId);
    if (fault !== undefined) return refuse(context, fault);
    // With a valid Sign, this is the service's time: whole seconds, rounded down.
    if (sign) service?.observe(Number(query.value.requestTime) * 1_000 + 500, true);
    const { command = '' } = query.value;
    // Nothing of a verified sender is lost: the body may name the command.
    if (command === '' && sign === undefined) return refuse(context, NO_COMMAND);
    context.set('command', command);
    context.set('query', query.value);
    return next();
  };
}

/** Reads the body, within limits of size and time. The part of one that is too large is left for `dispatch` to keep. */
function read({ maxBodyBytes, drop, sign, forwardAll }: ReceiverSettings): MiddlewareHandler<ReceiverEnv> {
  const readBody = createBodyReader(maxBodyBytes, forwardAll ? [] : drop);
  return async (context, next) => {
    const isRecorded = COMMANDS.has(context.get('command'));
    const body = await readBody(context.env.incoming, isRecorded);
    if (body.fault !== undefined && !(isRecorded && sign !== undefined)) return refuse(context, body.fault);
    context.set('body', body);
    return next();
  };
}

/** Limits how many callbacks wait for their answer. It comes after `read`: slow senders must not take up the places. */
function limitInFlight(most: number): MiddlewareHandler<ReceiverEnv> {
  const overloaded: HttpFault = {
    code: 'overloaded',
    message: `${most} callbacks wait for their answer already`,
    suggestion: 'look at the disk of journal.file; receiver.maxInFlight sets the limit',
  };
  let inFlight = 0;
  return async (context, next) => {
    if (inFlight >= most) return refuse(context, overloaded);
    inFlight++;
    try {
      await next();
    } finally {
      inFlight--;
    }
  };
}

/** Tells the caller code and message of known troubles only: paths of this machine are none of their business. */
function asHttpFault(thrown: unknown): HttpFault {
  const { code, message } = faultOf(thrown, 'internal');
  const isKnown = isHttpCode(code) && code !== 'internal';
  return isKnown ? { code, message } : { code: 'internal', message: 'the callback could not be handled' };
}
