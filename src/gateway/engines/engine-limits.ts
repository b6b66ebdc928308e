// Limits on what an engine may say about itself; an engine beyond them is broken or malicious.

import type { JsonLimits } from './json-shape.ts';

/** Answer to `/v1/models`; enough for about 4,000 adapters of vLLM. */
export const modelsBytesMax: number = 2 * 1024 * 1024;
export const modelsMax = 4096;
export const modelIdLengthMax = 512;
/** Description of one model as JSON; a longer one is reduced to the fields we know. */
export const descriptionLengthMax = 16_384;
export const descriptionDepthMax = 8;

/** Answer to `/metrics`. */
export const metricsBytesMax: number = 8 * 1024 * 1024;
/** One line of metrics; vLLM's longest relevant one has 1,300 characters. */
export const labelsLengthMax = 8192;
/** With blocks of 16 tokens: 268 million tokens. */
export const capacityBlocksMax = 16_777_216;

/** Data-parallel ranks behind one address. */
export const ranksMax = 256;
/** Answer to `/kv_event_sources`. */
export const eventSourcesBytesMax: number = 1024 * 1024;
/** Address or topic of KV events. */
export const feedTextLengthMax = 1024;

/** Answer to `/health`, whose body is ignored. */
export const healthBytesMax = 65_536;
/** Answer to `/tokenize` in comparisons, and to a canary. */
export const smallAnswerBytesMax: number = 1024 * 1024;

/**
 * Shape of an answer in JSON: a list of 4,096 models of vLLM has 12,289 objects and arrays, 80,000 commas and 160,000
 * strings.
 */
export const answerShape: JsonLimits = { containersMax: 16_384, stringsMax: 262_144, commasMax: 98_304 };

/** Longest list of token ids that an engine may answer with. */
export const answeredTokensMax = 1_048_576;
