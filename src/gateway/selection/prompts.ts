// Turns the prompt of an operation into a request that can be placed: its pool, its blocks, its length.

import type { BlockHasher, BlockHashes, Prompt } from '../../core/index.ts';
import type { Json, JsonList, JsonObject } from '../../tokens/json-values.ts';
import { isJsonObject } from '../../tokens/json-values.ts';
import { ownCopy } from '../../tokens/own-copy.ts';
import type { TokenizerError } from '../../tokens/tokenizer.ts';
import { TokenizerTurn } from '../../tokens/tokenizer-turn.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { ApiKey } from '../config/api-keys.ts';
import { mustAllow, mustName } from '../exchange/exchange.ts';
import { hashing, type Placeable } from '../inference/admission-applicant.ts';
import type { InferenceContext } from '../inference/inference-context.ts';
import { type Fields, invalid } from '../inference/request-fields.ts';
import { readChat, readTokens } from '../inference/request-intake.ts';
import type { Pools, ResolvedModel } from '../pools/pools.ts';
import { islOf, leastKnown, type PromptContent } from '../prompts/prompt-content.ts';
import type { PromptInput } from '../prompts/prompt-input.ts';
import { readContents } from '../prompts/prompt-tokens.ts';
import { type PromptBody, promptTokensMax } from './shapes.ts';

/** A prompt in one of its forms; block hashes by block size, two words (low, high) for each block. */
type Given = PromptInput | { readonly kind: 'hashes'; readonly isl: number; readonly bySize: Map<number, Uint32Array> };

const forms = ['tokens', 'text', 'messages', 'blockHashes'] as const;
const blockSizeMax = 65_536;
/** Hashes of a list, which takes a hundred times as long as base64 of them. */
const listedHashesMax = 65_536;
/** Of signed and of unsigned integers of 64 bits. */
const hashMin = -(2n ** 63n);
const hashMax = 2n ** 64n - 1n;

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
  context: Pick<InferenceContext, 'pools' | 'hasher' | 'tokenizerFailures'>,
  key: ApiKey | null,
  body: PromptBody,
  fields: Fields,
  requestId: string,
  whenGone: (end: () => void) => void,
): Promise<PlacedPrompt> {
  const { pools, hasher, tokenizerFailures } = context;
  const given = givenPrompt(body, fields);
  const before = resolve(pools, key, body, requestId);
  if (given.kind === 'hashes') return ofHashes(before, given, body, hasher);
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
  // Resolved again: workers may have come and gone during tokenization.
  const resolved = contents instanceof Promise ? resolve(pools, key, body, requestId) : before;
  return {
    isl: islOf(known[0]!, resolved.pool.lengthGuess),
    known: leastKnown(known),
    keptBytes: bytesOf(known[0]!),
    // A copy: a part of the body's text would keep all of it.
    hashed: hashing(resolved, { cacheSalt: saltOf(body), recomputed: false }, known, hasher),
    ...resolved,
  };
}

function saltOf({ salt }: PromptBody): string | null {
  return salt === undefined ? null : ownCopy(salt);
}

function bytesOf(content: PromptContent): number {
  return content.kind === 'bytes' ? content.bytes.length : 4 * content.tokens.length;
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

function givenPrompt(body: PromptBody, fields: Fields): Given {
  const present = forms.filter((form) => body[form] !== undefined);
  if (present.length !== 1) {
    throw invalid(present[1] ?? 'tokens', `a prompt is one of ${forms.join(', ')}; ${present.length} are given`);
  }
  if (body.isl !== undefined && body.blockHashes === undefined) throw invalid('isl', 'isl goes with blockHashes only');
  switch (present[0]!) {
    case 'tokens':
      return givenTokens(fields.value('tokens'));
    case 'text':
      return { kind: 'text', text: body.text!, addSpecialTokens: fields.flag('add_special_tokens') ?? true };
    case 'messages':
      return readChat(fields);
    case 'blockHashes':
      return givenHashes(fields.value('blockHashes'), body.isl);
  }
}

function givenTokens(value: Json | Uint32Array): PromptInput {
  const prompt = tokensIn(value);
  if (prompt.tokens.length > promptTokensMax) {
    throw invalid('tokens', `tokens has more than ${promptTokensMax} token ids (promptTokensMax)`);
  }
  return prompt;
}

function tokensIn(value: Json | Uint32Array): PromptInput & { readonly kind: 'tokens' } {
  if (value instanceof Uint32Array) return { kind: 'tokens', tokens: value };
  if (typeof value === 'string') return { kind: 'tokens', tokens: words(value, 4, 'tokens') };
  if (Array.isArray(value)) return readTokens(value as JsonList, 'tokens');
  throw invalid('tokens', 'tokens must be an array of token ids, or base64 of them');
}

/** 32-bit words in base64. @param bytes of one number @throws RequestError 400 */
function words(text: string, bytes: 4 | 8, name: string): Uint32Array {
  const decoded = Buffer.from(text, 'base64');
  // Node skips what is not base64: then the length differs.
  if (Math.ceil(decoded.length / 3) * 4 !== text.length || decoded.length === 0 || decoded.length % bytes !== 0) {
    throw invalid(name, `${name} must be padded base64 of ${8 * bytes}-bit integers, low byte first`);
  }
  const copy = new Uint32Array(decoded.length / 4);
  new Uint8Array(copy.buffer).set(decoded);
  return copy;
}

function givenHashes(value: Json, isl: number | undefined): Given {
  if (isl === undefined) throw invalid('isl', 'isl, the length of the prompt in tokens, is needed with blockHashes');
  if (!isJsonObject(value)) throw invalid('blockHashes', 'blockHashes must be an object: hashes by block size');
  const bySize = new Map<number, Uint32Array>();
  for (const [text, hashes] of value as JsonObject) {
    const size = /^[1-9]\d{0,5}$/.test(text) ? Number(text) : 0;
    const name = `blockHashes.${text}`;
    if (size < 1 || size > blockSizeMax) throw invalid('blockHashes', `${name}: a block size is 1 to ${blockSizeMax}`);
    const read = hashesIn(hashes, name);
    if (read.length / 2 !== Math.floor(isl / size)) {
      const full = Math.floor(isl / size);
      throw invalid(
        name,
        `${name} has ${read.length / 2} hashes, but ${isl} tokens have ${full} full blocks of ${size}`,
      );
    }
    bySize.set(size, read);
  }
  return { kind: 'hashes', isl, bySize };
}

function hashesIn(value: Json, name: string): Uint32Array {
  if (value === '') return new Uint32Array(0);
  if (typeof value === 'string') return words(value, 8, name);
  const read: ArrayLike<Json> | null =
    Array.isArray(value) || value instanceof Uint32Array ? (value as JsonList) : null;
  if (read === null) throw invalid(name, `${name} must be an array of 64-bit integers, or base64 of them`);
  if (read.length > listedHashesMax) {
    throw invalid(name, `${name} lists more than ${listedHashesMax} hashes (listedHashesMax); base64 takes more`);
  }
  const all = new BigInt64Array(read.length);
  for (let i = 0; i < read.length; i++) {
    const hash = read[i]!;
    const isHash = (typeof hash === 'number' && Number.isSafeInteger(hash)) || typeof hash === 'bigint';
    if (!isHash || hash < hashMin || hash > hashMax) {
      throw invalid(`${name}[${i}]`, `${name}[${i}] is not a 64-bit integer`);
    }
    all[i] = BigInt(hash);
  }
  return new Uint32Array(all.buffer);
}

function ofHashes(
  resolved: ResolvedModel,
  { isl, bySize }: Extract<Given, { kind: 'hashes' }>,
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
