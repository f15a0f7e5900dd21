/** What a user loads by `--import`: an SDK. It writes each span as a line to TRACE_FILE, when it is told to flush. */
import { appendFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';
import {
  BatchSpanProcessor,
  NodeTracerProvider,
  type ReadableSpan,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-node';

/** Of a span, what is asserted. */
export interface WrittenSpan {
  readonly thread: number;
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parent: string | undefined;
  readonly attributes: Readonly<Record<string, unknown>>;
}

function written(span: ReadableSpan): WrittenSpan {
  const { traceId, spanId } = span.spanContext();
  const { name, kind, attributes, parentSpanContext } = span;
  return { thread: threadId, name, kind, traceId, spanId, parent: parentSpanContext?.spanId, attributes };
}

const exporter: SpanExporter = {
  export(spans, done) {
    appendFileSync(process.env.TRACE_FILE ?? '', spans.map((span) => `${JSON.stringify(written(span))}\n`).join(''));
    done({ code: 0 });
  },
  shutdown: async () => {},
};

// Nothing comes out before the bridge asks for it at its end: a test then has all spans, or the bridge forgot to ask.
const processor = new BatchSpanProcessor(exporter, { scheduledDelayMillis: 3_600_000, maxExportBatchSize: 512 });
new NodeTracerProvider({ spanProcessors: [processor] }).register();
