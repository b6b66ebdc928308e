// Fake embeddings: unit vectors made from the tokens, so that texts with common tokens are close.

import { z } from 'zod';
import { unservable } from './api-error.ts';
import { check, type PromptInput, readPrompts } from './generation-request.ts';

const dimensionsDefault = 384;
export const dimensionsMax = 4096;
/** Coordinates changed by one token. */
const spread = 8;

export interface EmbeddingsRequest {
  readonly model: string | null;
  readonly inputs: readonly PromptInput[];
  readonly dimensions: number;
  readonly isBase64: boolean;
}

const embeddingsBody = z.looseObject({
  model: z.string().nullish(),
  input: z.unknown(),
  dimensions: z.int().min(1).max(dimensionsMax).nullish(),
  encoding_format: z.enum(['float', 'base64']).nullish(),
});

/** @throws ApiError 400 */
export function readEmbeddings(body: unknown): EmbeddingsRequest {
  const { model, input, dimensions, encoding_format: encoding } = check(embeddingsBody, body);
  return {
    model: model ?? null,
    inputs: readPrompts(input, 'input'),
    dimensions: dimensions ?? dimensionsDefault,
    isBase64: encoding === 'base64',
  };
}

/** Body of the response. @param inputs token ids of each input @throws ApiError 400 */
export function embeddingsBodyOf(
  { dimensions, isBase64 }: EmbeddingsRequest,
  inputs: readonly Uint32Array[],
  model: string,
  contextTokensMax: number,
): object {
  const long = inputs.find((ids) => ids.length > contextTokensMax);
  if (long !== undefined) {
    throw unservable(
      `An input has ${long.length} tokens; this model's maximum context length is ${contextTokensMax} tokens.`,
      'input',
    );
  }
  if (inputs.some((ids) => ids.length === 0)) throw unservable('An input has no tokens.', 'input');
  const tokens = inputs.reduce((sum, ids) => sum + ids.length, 0);
  return {
    object: 'list',
    model,
    data: inputs.map((ids, index) => {
      const vector = embed(ids, dimensions);
      const embedding = isBase64 ? Buffer.from(vector.buffer).toString('base64') : Array.from(vector);
      return { object: 'embedding', index, embedding };
    }),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

function embed(ids: Uint32Array, dimensions: number): Float32Array<ArrayBuffer> {
  const vector = new Float32Array(dimensions);
  for (const id of ids) {
    let state = Math.imul(id + 1, 0x9e3779b1);
    for (let i = 0; i < spread; i++) {
      state = Math.imul(state ^ (state >>> 15), 0x735a2d97) + i;
      vector[(state >>> 1) % dimensions]! += (state & 1) === 0 ? 1 : -1;
    }
  }
  const length = Math.hypot(...vector);
  // The coordinates may cancel each other out.
  if (length === 0) vector[0] = 1;
  else for (let at = 0; at < dimensions; at++) vector[at]! /= length;
  return vector;
}
