/** OpenTelemetry, by its API alone: spans exist only if an SDK was loaded at the start. Both threads load this file. */
import {
  context,
  createTraceState,
  isSpanContextValid,
  type ProxyTracerProvider,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import type { CallbackTrace } from '../model/callback.ts';
import type { Entry } from '../model/entry.ts';
import type { CanonicalEvent, EventId, TraceContext } from '../model/event.ts';
import type { Fault } from '../model/fault.ts';
import type { Outcome } from '../model/outcome.ts';
import { within } from '../model/wait.ts';

const tracer = trace.getTracer('group-sync-bridge');

/** Continues the trace that the headers name, if any. Returns undefined without an SDK. */
export function traceCallback(headers: Readonly<Record<string, unknown>>, route: string): CallbackTrace | undefined {
  if (!isOn()) return undefined;
  const around = context.active();
  // An SDK that traces HTTP itself has started its server span already: this one becomes its child.
  const within = trace.getSpanContext(around) !== undefined;
  const parent = within ? around : propagation.extract(around, headers);
  const span = tracer.startSpan('callback', { kind: within ? SpanKind.INTERNAL : SpanKind.SERVER }, parent);
  const own = span.spanContext();
  if (!isSpanContextValid(own)) return undefined;
  return {
    within: (work) => context.with(trace.setSpan(parent, span), work),
    carriedBy(event) {
      span.setAttributes(attributesOf(event));
      const { data, ...envelope } = event;
      return { ...envelope, ...toTraceContext(own), data };
    },
    end({ command, outcome, status, fault }) {
      span.setAttributes({
        'http.request.method': 'POST',
        'http.route': route,
        'http.response.status_code': status,
        'bridge.command': command,
      });
      endSpan(span, outcome, outcome === 'failed', fault);
    },
  };
}

/**
 * Traces one delivery of a batch: a span for each event that carries a trace, as a child of its callback's. Spans of the
 * destination's own client become children of the first of them; the others are linked to it.
 */
export async function traceDelivery(
  connector: string,
  entries: readonly Entry[],
  deliver: () => Promise<ReadonlyMap<EventId, Outcome>>,
): Promise<ReadonlyMap<EventId, Outcome>> {
  const spans = startDeliveries(connector, entries);
  const [first] = spans.values();
  if (first === undefined) return deliver();
  const lead = [...spans.values()].find((span) => span.isRecording()) ?? first;
  for (const span of spans.values()) if (span !== lead) span.addLink({ context: lead.spanContext() });
  try {
    const outcomes = await context.with(trace.setSpan(context.active(), lead), deliver);
    for (const [id, span] of spans) {
      const outcome = outcomes.get(id);
      if (outcome && 'receipt' in outcome) span.setAttribute('bridge.receipt', outcome.receipt);
      const fault = outcome && 'fault' in outcome ? outcome.fault : undefined;
      endSpan(span, outcome?.kind ?? 'unsettled', fault !== undefined, fault);
    }
    return outcomes;
  } catch (thrown) {
    for (const span of spans.values()) endSpan(span, 'unreachable', true);
    throw thrown;
  }
}

/** Whether there is an SDK; without one, events need not be parsed. */
function isOn(): boolean {
  const provider = trace.getTracerProvider();
  return (
    !('getDelegateTracer' in provider) ||
    (provider as ProxyTracerProvider).getDelegateTracer('group-sync-bridge') !== undefined
  );
}

function startDeliveries(connector: string, entries: readonly Entry[]): Map<EventId, Span> {
  const spans = new Map<EventId, Span>();
  if (!isOn()) return spans;
  for (const entry of entries) {
    // Most events carry no trace, which their text shows without being parsed.
    const parent = entry.text.includes('"traceparent":') ? toSpanContext(entry.event) : undefined;
    if (parent === undefined) continue;
    const around = trace.setSpanContext(ROOT_CONTEXT, parent);
    const span = tracer.startSpan(`deliver ${connector}`, { kind: SpanKind.PRODUCER }, around);
    // A tracer that makes no spans gives back the parent itself.
    if (span.spanContext().spanId === parent.spanId) break;
    span.setAttributes(attributesOf(entry.event));
    span.setAttributes({ 'bridge.connector': connector, 'messaging.batch.message_count': entries.length });
    spans.set(entry.event.id, span);
  }
  return spans;
}

function endSpan(span: Span, outcome: string, failed: boolean, fault?: Fault): void {
  span.setAttributes({ 'bridge.outcome': outcome, 'bridge.fault': fault?.code });
  if (failed) span.setStatus({ code: SpanStatusCode.ERROR, ...(fault && { message: fault.code }) });
  span.end();
}

function attributesOf({ id, type, subject }: CanonicalEvent): Record<string, string> {
  return { 'cloudevents.event_id': id, 'cloudevents.event_type': type, 'cloudevents.event_subject': subject };
}

/** Returns W3C Trace Context, which readers of events expect whatever headers the SDK uses. */
function toTraceContext({ traceId, spanId, traceFlags, traceState }: SpanContext): TraceContext {
  const traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
  const tracestate = traceState?.serialize() ?? '';
  return { traceparent, ...(tracestate !== '' && { tracestate }) };
}

function toSpanContext({ traceparent = '', tracestate }: TraceContext): SpanContext | undefined {
  const [, traceId = '', spanId = '', flags = ''] = traceparent.split('-');
  const state = tracestate !== undefined && { traceState: createTraceState(tracestate) };
  const found = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true, ...state };
  return isSpanContextValid(found) ? found : undefined;
}

const FLUSH_MS = 2_000;

/** Lets the SDK export the spans that it still holds, at the end of a thread. Never throws. */
export async function flushTraces(): Promise<void> {
  const provider = trace.getTracerProvider();
  // An SDK installed elsewhere brings its own API, so that `instanceof` would not recognize it.
  const sdk: object = 'getDelegate' in provider ? (provider as ProxyTracerProvider).getDelegate() : provider;
  if (!('forceFlush' in sdk) || typeof sdk.forceFlush !== 'function') return;
  // The SDK itself reports spans that it cannot export.
  await within(
    FLUSH_MS,
    Promise.resolve(sdk.forceFlush()).catch(() => {}),
  );
}
