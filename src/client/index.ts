/** For readers of the topics: `import { parseEvent, createGroupView } from 'group-sync-bridge/consumer'`. */
export type { ChangedFields, EventType, Origin } from '../model/event.ts';
export type { MessageFault } from '../model/fault.ts';
export type { Group, Version } from '../model/group.ts';
export { type GroupEvent, type ParsedEvent, parseEvent } from './event.ts';
export { type GroupState, type ParsedGroup, parseGroup } from './group.ts';
export { createGroupView, type GroupView, type GroupViewOptions } from './group-view.ts';
export type { IncomingMessage } from './message.ts';
