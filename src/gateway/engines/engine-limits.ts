// How much an engine may say of itself: beyond these bounds it is broken, or lies.

/** Of `/v1/models`: about 4,000 adapters of vLLM. */
export const modelsBytesMax: number = 2 * 1024 * 1024;
export const modelsMax = 4096;
export const modelIdLengthMax = 512;
/** Of one model, as JSON; a longer one is shown without what we do not know. */
export const descriptionLengthMax = 16_384;
export const descriptionDepthMax = 8;

/** Of `/metrics`. */
export const metricsBytesMax: number = 8 * 1024 * 1024;
/** Of one line of metrics; vLLM's longest that matters has 1,300 characters. */
export const labelsLengthMax = 8192;
/** In blocks of 16 tokens, 268 million tokens. */
export const capacityBlocksMax = 16_777_216;

/** Data-parallel ranks behind one address. */
export const ranksMax = 256;
/** Of `/kv_event_sources`. */
export const eventSourcesBytesMax: number = 1024 * 1024;
/** Of an address, or of a topic, of KV events. */
export const feedTextLengthMax = 1024;

/** Of `/health`; what it says is of no interest. */
export const healthBytesMax = 65_536;
/** Of `/tokenize` for the texts that are compared, and of the answer to a canary. */
export const smallAnswerBytesMax: number = 1024 * 1024;
