// Turns the prompt of an operation into a request that can be placed: its pool, its blocks, its length.

import type { BlockHasher, BlockHashes, Prompt } from '../../core/index.ts';
import { ownCopy } from '../../tokens/own-copy.ts';
import type { TokenizerError } from '../../tokens/tokenizer.ts';
import { TokenizerTurn } from '../../tokens/tokenizer-turn.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { ApiKey } from '../config/api-keys.ts';
import { mustAllow, mustName } from '../exchange/exchange.ts';
import { hashing, type Placeable } from '../inference/admission-applicant.ts';
import type { InferenceContext } from '../inference/inference-context.ts';
import { invalid } from '../inference/request-fields.ts';
import type { Pools, ResolvedModel } from '../pools/pools.ts';
import { withHashesAhead } from '../prompts/hash-ahead.ts';
import { islOf, leastKnown, type PromptContent } from '../prompts/prompt-content.ts';
import { readContents } from '../prompts/prompt-tokens.ts';
import type { Asked } from './asked.ts';
import type { Given, GivenHashes } from './given-prompt.ts';
import type { PromptBody } from './shapes.ts';

/** What the choice needs of a prompt, besides what the caller asks of the choice. */
export type PlacedPrompt = ResolvedModel &
  Pick<Placeable, 'known' | 'hashed'> & {
    readonly isl: number;
    /** Memory of what `hashed` reads. */
    readonly keptBytes: number;
  };

/**
 * @param whenGone gets what ends the tokenizing, should the caller go
 * @throws RequestError 400 naming the field, 403 for a model that the key does not allow, 404, 503
 */
export async function readPrompt(
  context: Pick<InferenceContext, 'pools' | 'hasher' | 'tokenizerFailures' | 'intakeSlices'>,
  key: ApiKey | null,
  body: PromptBody,
  asked: Asked,
  requestId: string,
  whenGone: (end: () => void) => void,
): Promise<PlacedPrompt> {
  const { pools, hasher, tokenizerFailures, intakeSlices } = context;
  const given = asked.prompt();
  const isl = islAsked(body, given);
  const before = resolve(pools, key, body, requestId);
  if (given.kind === 'hashes') return ofHashes(before, given, isl!, body, hasher);
  let contents: PromptContent[] | Promise<PromptContent[]>;
  if (given.kind === 'tokens') contents = [given];
  else {
    const turn = new TokenizerTurn();
    whenGone(() => turn.end());
    const note = (error: TokenizerError): void => tokenizerFailures.note(error, requestId, performance.now());
    contents = readContents([given], before.pool.tokens.forModel(before.model), note, turn);
  }
  // Not awaited without need: token ids are placed in the step that read them.
  const known = contents instanceof Promise ? await contents : contents;
  const salt = saltOf(body);
  const later = async (): Promise<void> => intakeSlices.take() ?? undefined;
  const sizes = before.pool.router.blockSizes();
  const ahead = withHashesAhead(known, hasher, sizes, { lora: before.lora, salt }, later);
  const placed = ahead instanceof Promise ? await ahead : ahead;
  // Resolved again: workers may have come and gone meanwhile.
  const waited = contents instanceof Promise || ahead instanceof Promise;
  const resolved = waited ? resolve(pools, key, body, requestId) : before;
  return {
    isl: islOf(placed[0]!, resolved.pool.lengthGuess),
    known: leastKnown(placed),
    keptBytes: bytesOf(placed[0]!),
    hashed: hashing(resolved, { cacheSalt: salt, recomputed: false }, placed, hasher),
    ...resolved,
  };
}

/** Null unless block hashes are given. @throws RequestError 400 if it does not fit them */
function islAsked({ isl }: PromptBody, given: Given): number | null {
  if (given.kind !== 'hashes') {
    if (isl !== undefined) throw invalid('isl', 'isl goes with blockHashes only');
    return null;
  }
  if (isl === undefined) throw invalid('isl', 'isl, the length of the prompt in tokens, is needed with blockHashes');
  for (const [size, hashes] of given.bySize) {
    const full = Math.floor(isl / size);
    if (hashes.length / 2 === full) continue;
    const name = `blockHashes.${size}`;
    throw invalid(
      name,
      `${name} has ${hashes.length / 2} hashes, but ${isl} tokens have ${full} full blocks of ${size}`,
    );
  }
  return isl;
}

/** A copy: a part of the body's text would keep all of it. */
function saltOf({ salt }: PromptBody): string | null {
  return salt === undefined ? null : ownCopy(salt);
}

function bytesOf(content: PromptContent): number {
  const bytes = content.kind === 'bytes' ? content.bytes.length : 4 * content.tokens.length;
  return bytes + (content.known?.bytes ?? 0);
}

/** @param requestId decides draws between the targets of a name */
function resolve(pools: Pools, key: ApiKey | null, { model, lora }: PromptBody, requestId: string): ResolvedModel {
  mustName(key, lora ?? model ?? null);
  const base = pools.resolve(model ?? lora ?? null, requestId);
  mustAllow(key, base.route?.asked ?? base.model);
  if (lora === undefined) return base;
  const adapter = pools.resolve(lora, requestId);
  mustAllow(key, adapter.route?.asked ?? adapter.model);
  if (adapter.lora === null || adapter.pool !== base.pool) {
    throw invalid('lora', `lora: ${JSON.stringify(lora)} is not a LoRA adapter of ${JSON.stringify(base.model)}`);
  }
  return adapter;
}

function ofHashes(
  resolved: ResolvedModel,
  { bySize }: GivenHashes,
  isl: number,
  body: PromptBody,
  hasher: BlockHasher,
): PlacedPrompt {
  const salt = saltOf(body);
  const chained = (blockSize: number): BlockHashes => {
    const hashes = bySize.get(blockSize);
    if (hashes === undefined) {
      const message = `blockHashes has no hashes for blocks of ${blockSize} tokens, which a worker has`;
      throw new RequestError(400, 'missing_block_size', message, 'blockHashes');
    }
    const root = hasher.root(blockSize, { lora: resolved.lora, salt });
    const sequence = hasher.chainBlockHashes(hashes, root);
    return { blockSize, count: hashes.length / 2, sequence, blockTokens: blockSize };
  };
  const hashed = (sizes: readonly number[]): Prompt[] => [{ isl, hashes: sizes.map(chained) }];
  // Errors come before anything is booked.
  hashed(resolved.pool.router.blockSizes());
  let keptBytes = 0;
  for (const hashes of bySize.values()) keptBytes += hashes.byteLength;
  return { isl, known: 'tokens', keptBytes, hashed, ...resolved };
}
