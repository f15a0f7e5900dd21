/** Where an SDK of OpenTelemetry registers itself, which it does before the bridge is loaded (`node --import ./tracing.mjs`). */
const SDK = Symbol.for('opentelemetry.js.api.1');

/** Without an SDK nothing of OpenTelemetry is loaded, and nothing is added to any event. */
const spans: Pick<typeof import('./spans.ts'), 'traceCallback' | 'traceDelivery' | 'flushTraces'> =
  SDK in globalThis
    ? await import('./spans.ts')
    : {
        traceCallback: () => undefined,
        traceDelivery: (_connector, _entries, deliver) => deliver(),
        flushTraces: async () => {},
      };

export const { traceCallback, traceDelivery, flushTraces } = spans;
