import type { IncomingMessage } from './message.ts';

/** The part of kafkajs that is used. */
export interface KafkaClient {
  consumer(options: { groupId: string; maxWaitTimeInMs: number; allowAutoTopicCreation: boolean }): KafkaConsumer;
}

interface KafkaConsumer {
  connect(): Promise<void>;
  subscribe(options: { topic: string; fromBeginning: boolean }): Promise<void>;
  run(options: {
    eachBatchAutoResolve: boolean;
    autoCommitInterval: number;
    eachBatch(payload: Batch): Promise<void>;
  }): Promise<void>;
  on(event: 'consumer.crash', listener: (event: { payload: { error: Error; restart: boolean } }) => void): unknown;
  on(
    event: 'consumer.received_unsubscribed_topics',
    listener: (event: { payload: { topicsNotSubscribed: string[] } }) => void,
  ): unknown;
  disconnect(): Promise<void>;
}

export interface Batch {
  readonly batch: {
    readonly partition: number;
    readonly messages: readonly (IncomingMessage & { readonly offset: string })[];
  };
  resolveOffset(offset: string): void;
  heartbeat(): Promise<void>;
  commitOffsetsIfNecessary(): Promise<void>;
  isRunning(): boolean;
  isStale(): boolean;
}
