/** For readers of the topics: `import { parseEvent, createGroupView } from '@group-sync-bridge/consumer'`. */
export type { EventType } from '../model/event.ts';
export type { MessageFault } from '../model/fault.ts';
export type { ChangedField, Version } from '../model/group.ts';
export { type ParsedEvent, parseEvent } from './event.ts';
export { type GroupState, type ParsedGroup, parseGroup } from './group.ts';
export {
  type GroupChange,
  type GroupChangesOptions,
  type GroupStore,
  groupChanges,
  type PassedOver,
} from './group-changes.ts';
export { createGroupView, type GroupView, type GroupViewOptions } from './group-view.ts';
export type { KafkaClient } from './kafka-client.ts';
export { merge } from './merge.ts';
export type { IncomingMessage } from './message.ts';
export type { ChangedFields, EventData, Group, GroupEvent, Origin } from './types.ts';
