// The list of client routes; a path that is not on it never reaches an engine.
//
// Left out on purpose: routes that change an engine (LoRA adapters, sleep, caches, profiles, weights), that describe
// it, or that name no model, so that a key can't be checked (responses and batches by id).

import { type ModelReading, readJsonModel } from '../../wire/json-model.ts';
import { readMultipartModel } from '../../wire/multipart-model.ts';
import type { InferenceApi } from '../inference/request-intake.ts';

/** Finds the model that a body names. */
export type ModelReader = (body: Buffer, contentType: string | null) => ModelReading;

export interface PassRoute {
  readonly kind: 'pass';
  readonly readModel: ModelReader;
  /** Whether it generates: then it is booked by its length and placed by the policy, else at the least busy engine. */
  readonly books: boolean;
}

export type ClientRoute =
  /** Tokenized, booked and routed by its prompt. */
  | { readonly kind: 'inference'; readonly api: InferenceApi }
  | PassRoute
  | { readonly kind: 'models' }
  | { readonly kind: 'model'; readonly escapedId: string };

const json: ClientRoute = { kind: 'pass', readModel: readJsonModel, books: false };
const form: ClientRoute = { kind: 'pass', readModel: readMultipartModel, books: false };
const generating: ClientRoute = { kind: 'pass', readModel: readJsonModel, books: true };

const routes: ReadonlyMap<string, Readonly<Record<string, ClientRoute>>> = new Map([
  ['/v1/chat/completions', { POST: { kind: 'inference', api: 'chat' } }],
  ['/v1/completions', { POST: { kind: 'inference', api: 'completions' } }],
  ['/v1/models', { GET: { kind: 'models' } }],
  ['/v1/responses', { POST: generating }],
  ['/v1/messages', { POST: generating }],
  ['/v1/messages/count_tokens', { POST: json }],
  ['/v1/embeddings', { POST: json }],
  ['/v2/embed', { POST: json }],
  ['/rerank', { POST: json }],
  ['/v1/rerank', { POST: json }],
  ['/v2/rerank', { POST: json }],
  ['/score', { POST: json }],
  ['/v1/score', { POST: json }],
  ['/classify', { POST: json }],
  ['/v1/classify', { POST: json }],
  ['/pooling', { POST: json }],
  ['/v1/pooling', { POST: json }],
  ['/tokenize', { POST: json }],
  ['/v1/tokenize', { POST: json }],
  ['/detokenize', { POST: json }],
  ['/v1/detokenize', { POST: json }],
  ['/v1/audio/transcriptions', { POST: form }],
  ['/v1/audio/translations', { POST: form }],
  ['/v1/audio/speech', { POST: json }],
  ['/v1/images/generations', { POST: json }],
] satisfies [string, Record<string, ClientRoute>][]);

const modelsPrefix = '/v1/models/';
const clientPrefix = /^\/v[12]\//;

/** The path's routes by method; null if it is not a client route. */
export function clientRoute(path: string): Readonly<Record<string, ClientRoute>> | null {
  const route = routes.get(path);
  if (route !== undefined) return route;
  if (!path.startsWith(modelsPrefix) || path.length === modelsPrefix.length) return null;
  return { GET: { kind: 'model', escapedId: path.slice(modelsPrefix.length) } };
}

/** Whether the path belongs to clients: without a valid key the answer is 401, even if the route does not exist. */
export function isClientPath(path: string): boolean {
  return clientPrefix.test(path) || clientRoute(path) !== null;
}
