/** `group-sync-bridge/connector`: what a connector of your own imports, and the suite that it has to pass. */
export { z } from 'zod';
export type {
  ConnectorContract as Connector,
  CopyStatus,
  EventSink,
  Finding,
  GroupSink,
  Holds,
  Host,
  Identify,
  OptionsIssue,
  OptionsSchema,
  Outcomes,
  Place,
  PutMode,
  Sink,
} from '../../connectors/contract.ts';
export { Interrupted } from '../../connectors/contract.ts';
export type { Clock } from '../model/clock.ts';
export type { Entry } from '../model/entry.ts';
export type { CanonicalEvent, ChangedFields } from '../model/event.ts';
export { type Fault, type FaultCode, messageOf, Unreachable } from '../model/fault.ts';
export { differences, type Group, isForeign, join, merge, newGroup, repair, type Version } from '../model/group.ts';
export type { Outcome } from '../model/outcome.ts';
export type { Shape } from '../model/shape.ts';
export { foundInGroup, makeEvent } from './doubles.ts';
export { connectorCases } from './suite.ts';
export type { Case, Copies, Found, Place as TestPlace, Poison, Target } from './target.ts';
