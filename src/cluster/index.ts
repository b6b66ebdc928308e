// Replicas of the router that share their load: the state machine, without its transport.

export { gaugeMs, messageBytesMax, silentMsMax } from './limits.ts';
export { MessagePace } from './message-pace.ts';
export type { ChainForm } from './own-share.ts';
export { type OriginView, type Received, Replica, type ReplicaOptions, type ReplicaView } from './replica.ts';
