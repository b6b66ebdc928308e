// What the log says of a worker that has joined: what is known of it, and what about it calls for a look.

import type { Logger } from 'pino';
import type { Worker } from '../engines/engine.ts';
import type { Parity } from '../engines/tokenizer-verdict.ts';
import type { Pool } from '../pools/pool.ts';

export interface JoinCircumstances {
  readonly pool: Pool;
  /** Of the gateway: a tokenizer's name, `engine` or `none`. */
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
    log.warn({ pool: pool.name, tokensFrom, differing }, 'token ids of prompts come from elsewhere now');
  }
  if (tokenizerName === 'engine' && tokenizer.text === 'unavailable') {
    log.warn({ worker: worker.id, tokensFrom }, 'the engine tells no token ids: it has no /tokenize that answers');
  }
  if (feed === null && offeredFeed !== null && feedFault === null) {
    log.warn({ worker: worker.id }, 'KV events are not used: without token ids no prompt can be matched with them');
  }
  if (feed?.status.state === 'connecting') {
    log.warn({ worker: worker.id, endpoint: feed.status.endpoint }, 'KV event feed does not connect yet');
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

/** In one line of the log. */
const namedModelsMax = 32;

function differs(parity: Parity): boolean {
  return parity === 'differs' || parity === 'double-bos';
}
