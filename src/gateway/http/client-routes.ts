// The list of client routes; a path that is not on it never reaches an engine.
//
// Left out on purpose: routes that change an engine (LoRA adapters, sleep, caches, profiles, weights), that describe
// it, or that name no model, so that a key can't be checked (files and batches by id).

import { type ModelReading, readJsonModel } from '../../wire/json-model.ts';
import { readMultipartModel } from '../../wire/multipart-model.ts';
import type { InferenceApi } from '../inference/request-intake.ts';

/** Finds the model that a body names. */
export type ModelReader = (body: Buffer, contentType: string | null) => ModelReading;

export interface PassRoute {
  readonly kind: 'pass';
  readonly readModel: ModelReader;
  /**
   * What the engine computes: then the request is booked by its length and placed by the policy. Null: nothing worth
   * booking, so it goes to the least busy engine.
   */
  readonly computes: 'prefill' | 'answer' | null;
}

export type ClientRoute =
  /** Tokenized, booked and routed by its prompt. */
  | { readonly kind: 'inference'; readonly api: InferenceApi }
  | PassRoute
  /** About a response that an engine keeps: it goes to that engine. */
  | { readonly kind: 'stored-response'; readonly id: string }
  | { readonly kind: 'models' }
  | { readonly kind: 'model'; readonly escapedId: string };

const light: ClientRoute = { kind: 'pass', readModel: readJsonModel, computes: null };
const pooling: ClientRoute = { kind: 'pass', readModel: readJsonModel, computes: 'prefill' };
const generating: ClientRoute = { kind: 'pass', readModel: readJsonModel, computes: 'answer' };
const listening: ClientRoute = { kind: 'pass', readModel: readMultipartModel, computes: 'answer' };

const routes: ReadonlyMap<string, Readonly<Record<string, ClientRoute>>> = new Map([
  ['/v1/chat/completions', { POST: { kind: 'inference', api: 'chat' } }],
  ['/v1/completions', { POST: { kind: 'inference', api: 'completions' } }],
  ['/v1/models', { GET: { kind: 'models' } }],
  ['/v1/responses', { POST: { kind: 'inference', api: 'responses' } }],
  ['/v1/messages', { POST: { kind: 'inference', api: 'messages' } }],
  ['/v1/messages/count_tokens', { POST: light }],
  ['/v1/embeddings', { POST: pooling }],
  ['/v2/embed', { POST: pooling }],
  ['/rerank', { POST: pooling }],
  ['/v1/rerank', { POST: pooling }],
  ['/v2/rerank', { POST: pooling }],
  ['/score', { POST: pooling }],
  ['/v1/score', { POST: pooling }],
  ['/classify', { POST: pooling }],
  ['/v1/classify', { POST: pooling }],
  ['/pooling', { POST: pooling }],
  ['/v1/pooling', { POST: pooling }],
  ['/tokenize', { POST: light }],
  ['/v1/tokenize', { POST: light }],
  ['/detokenize', { POST: light }],
  ['/v1/detokenize', { POST: light }],
  ['/v1/audio/transcriptions', { POST: listening }],
  ['/v1/audio/translations', { POST: listening }],
  ['/v1/audio/speech', { POST: generating }],
  ['/v1/images/generations', { POST: generating }],
] satisfies [string, Record<string, ClientRoute>][]);

const modelsPrefix = '/v1/models/';
/** A response by its id, and what else there is of it. */
const storedForm = /^\/v1\/responses\/([^/]+)(\/cancel|\/input_items)?$/;
const clientPrefix = /^\/v[12]\//;

/** The path's routes by method; null if it is not a client route. */
export function clientRoute(path: string): Readonly<Record<string, ClientRoute>> | null {
  const route = routes.get(path);
  if (route !== undefined) return route;
  const stored = storedForm.exec(path);
  if (stored !== null) return storedRoutes(stored[1]!, stored[2] ?? '');
  if (!path.startsWith(modelsPrefix) || path.length === modelsPrefix.length) return null;
  return { GET: { kind: 'model', escapedId: path.slice(modelsPrefix.length) } };
}

function storedRoutes(id: string, of: string): Readonly<Record<string, ClientRoute>> {
  const route: ClientRoute = { kind: 'stored-response', id };
  switch (of) {
    case '/cancel':
      return { POST: route };
    case '/input_items':
      return { GET: route };
    default:
      return { GET: route, DELETE: route };
  }
}

/** Whether the path belongs to clients: without a valid key the answer is 401, even if the route does not exist. */
export function isClientPath(path: string): boolean {
  return clientPrefix.test(path) || clientRoute(path) !== null;
}
