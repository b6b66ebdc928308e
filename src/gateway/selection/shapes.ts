// The shapes of what the selection service takes and answers. The OpenAPI description is made from them.

import { z } from 'zod';

/** Operations of one batch. */
export const batchOperationsMax = 100;
export const excludedMax = 4096;
/** Sequences sampled from one prompt. */
export const sequencesMax = 128;
export const promptTokensMax = 8_388_608;
const nameCharsMax = 1024;
const valueMax = 1e6;
const sloMsMax = 3_600_000;
const tokensMax = 2 ** 31 - 1;

type Schema = Readonly<Record<string, unknown>>;

/** A field that is not checked here but where it is read. @param schema of the description */
const readElsewhere = (schema: Schema): z.ZodOptional<z.ZodUnknown> =>
  z
    .unknown()
    .meta({ ...schema })
    .optional();

const base64 = { type: 'string', contentEncoding: 'base64' };
const name = z.string().min(1).max(nameCharsMax);

export const reservationId: z.ZodString = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, 'must have 1 to 128 visible ASCII characters')
  .meta({ description: 'Chosen by the caller, or made up.' });

const promptFields = {
  model: name.optional().meta({ description: 'Needed if workers serve several models.' }),
  lora: name.optional().meta({ description: 'Name of a LoRA adapter that engines list as a model.' }),
  salt: z.string().max(nameCharsMax).optional().meta({ description: "The request's cache_salt." }),
  tokens: readElsewhere({
    description: 'Token ids of the whole prompt: a list, or base64 of unsigned 32-bit integers, low byte first.',
    oneOf: [
      { type: 'array', items: { type: 'integer', minimum: 0, maximum: 0xffff_ffff }, minItems: 1 },
      { ...base64, minLength: 1 },
    ],
  }),
  text: readElsewhere({ description: 'The prompt of a completion.', type: 'string', minLength: 1 }),
  messages: readElsewhere({
    description: 'A chat, as in /v1/chat/completions, with the fields below that its template may use.',
    ...{ type: 'array', items: { type: 'object', required: ['role'] }, minItems: 1 },
  }),
  blockHashes: readElsewhere({
    description:
      'By block size: for each full block the XXH64 (seed 0) of its token ids as unsigned 32-bit integers, low byte ' +
      'first. A list of 64-bit integers, or base64 of them, low byte first. Needs isl.',
    type: 'object',
    additionalProperties: { oneOf: [{ type: 'array', items: { type: 'integer' } }, base64] },
  }),
  isl: z
    .int()
    .min(1)
    .max(promptTokensMax)
    .optional()
    .meta({ description: 'Tokens of the prompt. With blockHashes only.' }),
};

/** Fields of a chat besides its messages; read where chats of clients are read. */
const chatFields = {
  tools: readElsewhere({ type: 'array' }),
  add_generation_prompt: readElsewhere({ type: 'boolean' }),
  continue_final_message: readElsewhere({ type: 'boolean' }),
  add_special_tokens: readElsewhere({ type: 'boolean' }),
  chat_template: readElsewhere({}),
  chat_template_kwargs: readElsewhere({ type: 'object' }),
  mm_processor_kwargs: readElsewhere({}),
  documents: readElsewhere({}),
  reasoning_effort: readElsewhere({}),
};

const choiceFields = {
  max_tokens: z.int().min(0).max(tokensMax).optional(),
  n: z.int().min(1).max(sequencesMax).default(1).meta({ description: 'Sequences sampled from the prompt.' }),
  stream: z
    .boolean()
    .default(true)
    .meta({ description: 'False: the caller reports no tokens, so their progress is estimated.' }),
  excluded: z.array(name).max(excludedMax).default([]).meta({ description: 'Ids of workers that must not be chosen.' }),
  overlapWeight: z.number().min(0).max(valueMax).optional(),
  temperature: z.number().min(0).max(valueMax).optional(),
  slo: z
    .strictObject({
      ttftMs: z.number().gt(0).max(sloMsMax).optional(),
      tpotMs: z.number().gt(0).max(sloMsMax).optional(),
    })
    .optional(),
};

export const promptBody = z.strictObject({ ...promptFields, ...chatFields });
export const selectBody = z.strictObject({ ...promptFields, ...chatFields, ...choiceFields });
export const reserveBody = z.strictObject({
  ...promptFields,
  ...chatFields,
  ...choiceFields,
  id: reservationId.optional(),
  leaseS: z
    .number()
    .gt(0)
    .max(86_400)
    .optional()
    .meta({ description: 'Seconds without a call after which the reservation ends by itself.' }),
  waitMs: z.int().min(0).max(3_600_000).optional().meta({
    description: 'Longest wait for a worker with room. 0: 429 at once. Default: as the queue is configured.',
  }),
  priority: z
    .int()
    .min(-(2 ** 31))
    .max(2 ** 31 - 1)
    .default(0)
    .meta({ description: 'Lower goes first in the queue.' }),
  terms: z.boolean().default(false).meta({ description: 'True: the answer has every term of the cost.' }),
});
export const outputBody = z.strictObject({
  tokens: z.int().min(0).max(tokensMax).meta({ description: 'Output tokens so far. Never counts back.' }),
  choice: z
    .int()
    .min(0)
    .max(sequencesMax - 1)
    .default(0)
    .meta({ description: 'Which of n sequences.' }),
});
export const outcomes = ['done', 'failed', 'aborted'] as const;
export const deleteBody = z.strictObject({
  outcome: z.enum(outcomes).default('done'),
  promptTokens: z.int().min(1).max(tokensMax).optional(),
  cachedTokens: z.int().min(0).max(tokensMax).optional(),
  outputTokens: z.int().min(0).max(tokensMax).optional(),
});

export const noFields = z.strictObject({});

export type PromptBody = z.infer<typeof promptBody>;
export type SelectBody = z.infer<typeof selectBody>;
export type ReserveBody = z.infer<typeof reserveBody>;
export type OutputBody = z.infer<typeof outputBody>;
export type DeleteBody = z.infer<typeof deleteBody>;

const workerFields = {
  worker: z.string().meta({ description: 'Id of the worker: its url, # and its rank.' }),
  url: z.string(),
  rank: z
    .int()
    .meta({ description: 'Data-parallel rank: the x-data-parallel-rank of the request, if there are several.' }),
};
/** Every term of the cost of one candidate: named in docs/operations.md. */
const candidate = z
  .object({ worker: z.string().nullable(), cost: z.number() })
  .catchall(z.number())
  .meta({ description: 'All terms; the lowest cost wins.' });

const chosenFields = {
  ...workerFields,
  model: z.string(),
  policy: z.string(),
  reason: z.string(),
  isl: z.int(),
  overlapBlocks: z.number(),
  overlapTokens: z.number(),
  uncachedTokens: z.number(),
  predictedTtftMs: z.number().nullable(),
  predictedTpotMs: z.number().nullable(),
};
export const selected = z.strictObject({ ...chosenFields, candidates: z.array(candidate) });
export const reserved = z.strictObject({
  id: z.string(),
  leaseS: z.number(),
  ...chosenFields,
  costs: z.array(z.strictObject({ worker: z.string().nullable(), cost: z.number() })),
  candidates: z.array(candidate).optional(),
});
export const reservation = z.strictObject({
  id: z.string(),
  ...workerFields,
  state: z.enum(['prefill', 'decode']),
  outputTokens: z.array(z.int()).meta({ description: 'Of each sequence.' }),
  leaseS: z.number(),
});
export const deleted = z.strictObject({
  id: z.string(),
  deleted: z.enum(['now', 'before', 'early']).meta({
    description: 'before: it had ended. early: there is none; one with this id will be refused for a minute.',
  }),
});
export const overlaps = z.strictObject({
  model: z.string(),
  isl: z.int(),
  workers: z.array(
    z.strictObject({
      ...workerFields,
      routable: z.boolean(),
      blockSize: z.int(),
      blocks: z.int().meta({ description: 'Full blocks of the prompt.' }),
      overlapBlocks: z.int().meta({ description: 'Leading blocks that it holds, or computes for requests in flight.' }),
      overlapTokens: z.number(),
      announcedBlocks: z.int().meta({ description: 'Those that its KV events announced.' }),
      promisedBlocks: z.int().meta({ description: 'Those of requests in flight.' }),
    }),
  ),
});
export const potentialLoads = z.strictObject({
  model: z.string(),
  isl: z.int(),
  workers: z.array(
    z.strictObject({
      ...workerFields,
      activeBlocks: z.number(),
      activePrefillTokens: z.number(),
      runningRequests: z.number(),
      potentialBlocks: z.number().meta({ description: 'activeBlocks, were the request placed there.' }),
      potentialPrefillTokens: z.number(),
      kvUsage: z.number(),
    }),
  ),
});
/** As at the port of operators. */
export const loads = z.strictObject({
  view: z.string().meta({ description: 'Whether the loads are shared with other routers.' }),
  workers: z.array(
    z.looseObject({
      ...{ id: z.string(), url: z.string(), rank: z.int(), state: z.string(), routable: z.boolean() },
      ...{ activeBlocks: z.number(), activePrefillTokens: z.number(), runningRequests: z.number() },
    }),
  ),
  queues: z.array(
    z.strictObject({
      ...{ pool: z.string(), waiting: z.int(), waitingBlocks: z.number() },
      keptWorkers: z
        .int()
        .meta({ description: 'Workers that tenants with more requests than their share leave free.' }),
    }),
  ),
});
export const errorBody = z.strictObject({
  error: z.strictObject({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable().meta({ description: 'The field that is wrong.' }),
    code: z.string(),
  }),
});
/** OpenAPI 3.1 */
export const description = z.looseObject({ openapi: z.string(), paths: z.looseObject({}) });
export const batchResults = z.strictObject({
  results: z
    .array(
      z.strictObject({ status: z.int(), body: z.unknown().meta({ description: 'As of the route, or an error.' }) }),
    )
    .meta({ description: 'In the order of the operations.' }),
});
export const line = z.strictObject({
  tag: z.union([z.string(), z.number()]).optional(),
  status: z.int(),
  body: z.unknown(),
});
