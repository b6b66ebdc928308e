// How far the router's knowledge of one worker's blocks can be trusted: read off what its feed has seen, never set.
//
// approximate   no KV events are used: the index mirrors our own decisions.
// catching-up   the view may lack blocks, and what is missing is on its way.
// degraded      the view lacks blocks or may do so, and nothing that is under way will mend it.
// exact         every batch since the engine started, or since its cache was empty, has been applied in order.
//
//   connecting --connected, replayed from 0--> exact <--next batch or replay-- catching-up <--reconnected-- no-connection
//   exact --gap--> catching-up --replay brings all--> exact
//                              --replay begins too late, or there is none--> degraded: blocks dropped, rebuilt from what comes
//   exact --orphan--> catching-up (replay from 0) --> exact, or degraded where the orphans come again
//   degraded --cleared, restarted, or replayed whole--> exact
//
// A view that lacks blocks never claims one that the engine doesn't hold: it costs hits, not correctness.

/** Why nothing but our own decisions is known. `no-tokenizer`: prompts can't be matched with events. */
export type ApproximateReason = 'no-events' | 'no-tokenizer';

/**
 * `connecting`: not connected yet. `replaying`: batches are being asked for again. `unproven`: connected without a
 * replay, and no batch has come yet that would show whether some are missing.
 */
export type CatchingUpReason = 'connecting' | 'replaying' | 'unproven';

/**
 * `no-connection`: the publisher can't be reached (any more). `endpoint`: our end can't be opened. `shared-endpoint`:
 * several publishers send to an address meant for one. `late-join`: older batches never came. `lost-batches`: batches
 * are missing in between. `orphans`: blocks hang on blocks that were never announced. `silent`: prompts are computed
 * there, but no event tells of it. `unmatched`: events come, but never the blocks of the prompts sent there (other
 * tokens, another salt or adapter, another worker's events). `block-size`: events of a block size that can't be used.
 */
export type DegradedReason =
  | 'no-connection'
  | 'endpoint'
  | 'shared-endpoint'
  | 'late-join'
  | 'lost-batches'
  | 'orphans'
  | 'silent'
  | 'unmatched'
  | 'block-size';

export type WorkerTrust =
  | { readonly kind: 'exact'; readonly reason: null; readonly detail: null }
  | { readonly kind: 'catching-up'; readonly reason: CatchingUpReason; readonly detail: string }
  | { readonly kind: 'degraded'; readonly reason: DegradedReason; readonly detail: string }
  | { readonly kind: 'approximate'; readonly reason: ApproximateReason; readonly detail: string };

export type TrustKind = WorkerTrust['kind'];

/** Every state, in order from best to worst. */
export const trustKinds: readonly TrustKind[] = ['exact', 'catching-up', 'degraded', 'approximate'];
