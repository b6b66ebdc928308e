// Log lines about a worker that has joined: its facts, and warnings about them.

import type { Logger } from 'pino';
import type { Worker } from '../engines/engine.ts';
import type { Parity } from '../engines/tokenizer-verdict.ts';
import type { Pool } from '../pools/pool.ts';

export interface JoinCircumstances {
  readonly pool: Pool;
  /** The gateway's: a tokenizer's name, `engine` or `none`. */
  readonly tokenizerName: string;
  readonly log: Logger;
}

export function logJoined(worker: Worker, { pool, tokenizerName, log }: JoinCircumstances): void {
  const { traits, feed, offeredFeed, feedFault, engine } = worker;
  const { models, tokenizer, state } = engine;
  const tokensFrom = pool.tokens.inForce();
  const line = {
    worker: worker.id,
    models: models.slice(0, namedModelsMax).map(({ id }) => id),
    ...(models.length > namedModelsMax && { modelCount: models.length }),
    blockSize: `${traits.blockSize} (${traits.blockSizeFrom})`,
    capacityBlocks: `${traits.capacityBlocks} (${traits.capacityFrom})`,
    tokenizer: { name: tokenizerName, ...tokenizer },
    tokensFrom,
    events: offeredFeed === null ? 'none' : `${offeredFeed.endpoint} (${feed?.status.state ?? 'not used'})`,
    source: traits.source,
    state,
  };
  log.info(line, 'worker ready');
  if (pool.tokens.changed()) {
    const differing = [...pool.workers].filter(({ engine }) => differs(engine.tokenizer.chat)).map(({ id }) => id);
    log.warn({ pool: pool.name, tokensFrom, differing }, 'source of token ids changed');
  }
  if (tokenizerName === 'engine' && tokenizer.text === 'unavailable') {
    log.warn({ worker: worker.id, tokensFrom }, 'engine provides no token ids: its /tokenize does not answer');
  }
  if (feed === null && offeredFeed !== null && feedFault === null) {
    log.warn({ worker: worker.id }, 'KV events not used: prompts can only be matched with them by token ids');
  }
  if (feed?.status.state === 'connecting') {
    log.warn({ worker: worker.id, endpoint: feed.status.endpoint }, 'KV event feed not connected yet');
  }
  if (differs(tokenizer.chat)) {
    const what =
      tokenizer.chat === 'differs' ? 'the chat template differs' : 'the chat template differs by a second BOS';
    const consequence =
      tokensFrom.chat === 'engine'
        ? 'token ids of chats are asked of the engines'
        : 'token ids of chats are those of the tokenizer, and their blocks may never match here';
    log.warn({ worker: worker.id, tokensFrom }, `${what} from the engine: ${consequence}`);
  }
}

/** Model names per log line. */
const namedModelsMax = 32;

function differs(parity: Parity): boolean {
  return parity === 'differs' || parity === 'double-bos';
}
