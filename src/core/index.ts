// Entry point of the routing library: what an embedder needs to route requests to workers with KV caches.

export {
  Admission,
  type AdmissionOptions,
  type Admitted,
  type Applicant,
  chargedTokens,
  type Entry,
  type Waiting,
} from './admission/admission.ts';
export { tenantReserveSDefault } from './admission/tenant-reserve.ts';
export { BlockHasher, type Namespace } from './blocks/block-hash.ts';
export type { Planned } from './choice/burst-plan.ts';
export type { CandidateCost, Candidates } from './choice/candidates.ts';
export type { Decision, DecisionReason, Routed } from './choice/decision.ts';
export type { LateBindingOptions } from './choice/late-binding.ts';
export type { Choice, Policy, PolicyBooking, PolicyRequest } from './choice/policy.ts';
export type { HeldCopy, HeldPiece } from './held/held-copy.ts';
export { assumedPrefillTokensPerS } from './ledger/prefill-model.ts';
export {
  createPolicy,
  type LabPolicyName,
  labPolicyNames,
  type PolicyName,
  type PolicyOptions,
  policyNames,
} from './policies/catalogue.ts';
export type { EngineModel } from './policies/engine-model.ts';
export type { KvOptions } from './policies/kv.ts';
export { Random } from './random.ts';
export { Router } from './router.ts';
export type { RouterOptions } from './router-options.ts';
export type {
  Affinity,
  BlockHashes,
  BlocksCleared,
  BlocksRemoved,
  BlocksStored,
  Booking,
  FirstToken,
  Held,
  IndexSource,
  KvEvent,
  KvEventOutcome,
  Outcome,
  Prompt,
  Refused,
  RequestSlo,
  RouteRequest,
  RouterCounters,
  WorkerIndex,
  WorkerLoad,
  WorkerSpec,
  WorkerSpeed,
} from './types.ts';
