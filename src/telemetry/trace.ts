/** Where an OpenTelemetry SDK registers itself before the bridge is loaded (`node --import ./tracing.mjs`). */
const SDK = Symbol.for('opentelemetry.js.api.1');

/** Without an SDK, OpenTelemetry is not loaded and events are not changed. */
const spans: Pick<typeof import('./spans.ts'), 'traceCallback' | 'traceDelivery' | 'flushTraces'> =
  SDK in globalThis
    ? await import('./spans.ts')
    : {
        traceCallback: () => undefined,
        traceDelivery: (_connector, _entries, deliver) => deliver(),
        flushTraces: async () => {},
      };

export const { traceCallback, traceDelivery, flushTraces } = spans;
