// The admission applicant of an inference request: its priority, its lane, and the route request of each attempt.

import type { Applicant, BlockHasher, Prompt, RouteRequest, WorkerIndex } from '../../core/index.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { TenantShare } from '../exchange/client-use.ts';
import type { RequestTrace } from '../exchange/request-trace.ts';
import { noWorkers, type ResolvedModel } from '../pools/pools.ts';
import { withSecondChoices } from '../pools/second-choices.ts';
import { hashContents, type PromptContent } from '../prompts/prompt-content.ts';
import type { InferenceRequest } from './request-intake.ts';
import { pinHeader, type RoutingOverrides } from './routing-overrides.ts';

/** The beginning of an answer that another engine is to go on with. */
export interface Continued {
  /** Tokens that the client has. */
  readonly tokens: number;
  /** When it broke off, as of `performance.now()`. */
  readonly sinceMs: number;
}

/** The parts of a request that decide where it is placed. */
export interface Placeable extends ResolvedModel {
  readonly request: Pick<InferenceRequest, 'maxOutputTokens' | 'sequences' | 'stream'>;
  /** How much is known of its prompts; the least of several. */
  readonly known: PromptContent['kind'];
  readonly overrides: RoutingOverrides;
  /** The engine may act by itself: once one has begun, the request is not sent to another. */
  readonly actsOnce?: boolean;
  /** The request can only go to the worker that holds the response that it continues. */
  readonly isHeld?: boolean;
  /** Another engine has begun the answer; absent: none has. */
  readonly continues?: Continued;
  /** The prompts, hashed for each block size. */
  hashed(blockSizes: readonly number[]): readonly Prompt[];
}

/** Hashes the contents of prompts whenever they are asked for. */
export function hashing(
  { pool, lora }: ResolvedModel,
  { cacheSalt, recomputed }: Pick<InferenceRequest, 'cacheSalt' | 'recomputed'>,
  contents: readonly PromptContent[],
  hasher: BlockHasher,
): Placeable['hashed'] {
  return (blockSizes) => {
    const prompts = hashContents(contents, hasher, blockSizes, pool.lengthGuess, { lora, salt: cacheSalt });
    return recomputed ? prompts.map((prompt) => ({ ...prompt, recomputed: true })) : prompts;
  };
}

/**
 * @param tried workers that must not be tried again
 * @param trace told of each choice, which begins with the request of `request()`
 * @param share whose request it is; null: nobody's
 * @throws RequestError 400 if the request is pinned to an unknown worker
 */
export function applicantOf(
  intake: Placeable,
  tried: ReadonlySet<WorkerIndex>,
  trace: RequestTrace | null = null,
  share: TenantShare | null = null,
): Applicant {
  const { pool, model, request, overrides } = intake;
  const { priority, pin, session, ...weights } = overrides;
  if (pin !== null && pool.find(pin) === undefined) throw unknownPin(pin, model);
  let hashedFor = '';
  let prompts: readonly Prompt[] = [];
  const hashed = (): readonly Prompt[] => {
    const sizes = pool.router.blockSizes();
    if (hashedFor === sizes.join()) return prompts;
    hashedFor = sizes.join();
    prompts = intake.hashed(sizes);
    return prompts;
  };
  const excluded = (): ReadonlySet<WorkerIndex> => {
    const others = pin === null ? pool.excludedFor(model) : pool.allBut(pin);
    const excluded = tried.size === 0 ? others : new Set([...others, ...tried]);
    return withSecondChoices(pool, excluded, performance.now());
  };
  return {
    priority,
    tenant: share?.tenant ?? '',
    weight: share?.weight ?? 1,
    lane: JSON.stringify([model, pin, ...tried]),
    request: (): RouteRequest => {
      trace?.choosing();
      const affinity = pool.sessions.affinity(session, performance.now());
      return {
        prompts: hashed(),
        sequences: request.sequences,
        wholeAnswer: !request.stream,
        excluded: excluded(),
        ...(request.maxOutputTokens !== null && { maxOutputTokens: request.maxOutputTokens }),
        ...(affinity !== null && { affinity }),
        ...weights,
      };
    },
  };
}

/** The error for a request that no worker can take. */
export function unplaceable({ model, overrides: { pin }, isHeld }: Placeable): RequestError {
  if (isHeld) {
    const message = 'the worker that holds the previous response is not ready';
    return new RequestError(503, 'holder_not_ready', message, 'previous_response_id');
  }
  if (pin === null) return noWorkers(`none that serves ${JSON.stringify(model)} is ready`);
  return new RequestError(503, 'pinned_worker_not_ready', `the worker ${JSON.stringify(pin)} is not ready`, pinHeader);
}

function unknownPin(pin: string, model: string): RequestError {
  return new RequestError(
    400,
    'invalid_value',
    `${pinHeader} names ${JSON.stringify(pin)}, which is not a worker of the pool that serves ${JSON.stringify(model)}`,
    pinHeader,
  );
}
