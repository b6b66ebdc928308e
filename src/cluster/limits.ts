// Limits on what replicas send each other, and the times of the protocol.

/** Bytes of one message; a NATS server takes 1 MiB. What does not fit is left out and counted (`unsent`). */
export const messageBytesMax = 1_000_000;
/** Workers in one replica's table. Load on further ones is not shared. */
export const sharedWorkersMax = 4096;
export const poolsMax = 256;
/** Bytes of the table: names of pools and workers. Load on workers beyond it is not shared. */
export const tableBytesMax = 500_000;
/** Bytes of a name: pool, worker, origin. A longer one makes the message unreadable; our own are not shared. */
export const nameBytesMax = 512;
/** Other replicas known at a time. Messages of further ones are counted (`full`) and ignored. */
export const originsMax = 256;
/** Prompts of one origin that count as promised at a time. Further ones are not promised. */
export const promptsMax = 4096;
/** Computed prompts of one origin whose requests are in flight. What further ones have in common with others counts more than once. */
export const runningPromptsMax = 16_384;
/** Their blocks in all, 8 bytes each. */
export const promisedBlocksMax = 1_000_000;
/** The same over all origins: with these, a flood of strangers takes some 100 MB. Further prompts are not promised. */
export const allPromptsMax = 65_536;
export const allRunningPromptsMax = 65_536;
export const allPromisedBlocksMax = 8_000_000;
/** Workers in the tables of all origins. A gauge with a table beyond it is counted (`full`) and ignored. */
export const allWorkersMax = 131_072;

/** A total beyond this is a fault of its sender; sums over all origins are exact. Our own are capped. */
export const totalMax = 2 ** 44;

/** Time between two gauges of a replica. */
export const gaugeMs = 250;
/** A gauge may go so much earlier, with another message. */
export const earlyGaugeMs = 50;
/** A replica that was not heard for so long is gone, and its load with it. */
export const silentMsMax = 3 * gaugeMs;
/** How long a replica that fell silent without a goodbye is still expected, while the broker is there. */
export const missingMsMax = 5000;
/** How long a replica that is gone is remembered, so that late messages of its cannot bring it back. */
export const rememberedMsMax = 60_000;
