// Entry point of the simulated engine: block pool, scheduler and step times.

export { type BlockHash, type HashedPrompt, mixBlockHash, type SequenceHasher } from './block-hash.ts';
export { BlockPool } from './block-pool.ts';
export {
  Engine,
  type EngineCounters,
  type EngineOptions,
  type EngineStep,
  engineDefaults,
  type RefusalReason,
  type SampleToken,
  type Submission,
  seededToken,
} from './engine.ts';
export { type EngineProfile, type EngineProfileName, engineProfileNames, engineProfiles } from './engine-profiles.ts';
export { EngineRequest, type EngineRequestSpec, type FinishReason, type RequestStatus } from './engine-request.ts';
export { type CacheKind, cacheKinds, type PrefixCache } from './prefix-cache.ts';
export type { SchedulerOptions } from './scheduler.ts';
export type { Speculation } from './speculation.ts';
export {
  constantStepTime,
  l40sLlama8b,
  l40sLlama8bAnalytic,
  type StepLoad,
  type StepTime,
} from './step-time.ts';
export type { QueueOrder } from './waiting-queue.ts';
