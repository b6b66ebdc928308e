// The prompt of an operation as its caller gives it, in one of four forms: long ones are read by a thread.

import { isJsonObject, type Json, type JsonList, type JsonObject } from '../../tokens/json-values.ts';
import { type Fields, invalid } from '../inference/request-fields.ts';
import { readChat, readTokens } from '../inference/request-intake.ts';
import type { PromptInput } from '../prompts/prompt-input.ts';
import { promptTokensMax } from './shapes.ts';

/** Block hashes by block size, two words (low, high) for each block. */
export interface GivenHashes {
  readonly kind: 'hashes';
  readonly bySize: ReadonlyMap<number, Uint32Array>;
}

export type Given = PromptInput | GivenHashes;

const forms = ['tokens', 'text', 'messages', 'blockHashes'] as const;
const blockSizeMax = 65_536;
/** Hashes of a list, which takes a hundred times as long as base64 of them. */
const listedHashesMax = 65_536;
/** Of signed and of unsigned integers of 64 bits. */
const hashMin = -(2n ** 63n);
const hashMax = 2n ** 64n - 1n;

/** @throws RequestError 400 naming the field */
export function givenPrompt(fields: Fields): Given {
  const present = forms.filter((form) => fields.value(form) !== null);
  if (present.length !== 1) {
    throw invalid(present[1] ?? 'tokens', `a prompt is one of ${forms.join(', ')}; ${present.length} are given`);
  }
  switch (present[0]!) {
    case 'tokens':
      return givenTokens(fields.value('tokens'));
    case 'text':
      return givenText(fields);
    case 'messages':
      return readChat(fields);
    case 'blockHashes':
      return givenHashes(fields.value('blockHashes'));
  }
}

function givenText(fields: Fields): PromptInput {
  const text = fields.value('text');
  if (typeof text !== 'string' || text === '') throw invalid('text', 'text must be a string that is not empty');
  return { kind: 'text', text, addSpecialTokens: fields.flag('add_special_tokens') ?? true };
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

function givenHashes(value: Json): GivenHashes {
  if (!isJsonObject(value)) throw invalid('blockHashes', 'blockHashes must be an object: hashes by block size');
  const bySize = new Map<number, Uint32Array>();
  for (const [text, hashes] of value as JsonObject) {
    const size = /^[1-9]\d{0,5}$/.test(text) ? Number(text) : 0;
    const name = `blockHashes.${text}`;
    if (size < 1 || size > blockSizeMax) throw invalid('blockHashes', `${name}: a block size is 1 to ${blockSizeMax}`);
    bySize.set(size, hashesIn(hashes, name));
  }
  return { kind: 'hashes', bySize };
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
