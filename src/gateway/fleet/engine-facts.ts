// Gathers everything that routing must know about an engine's workers, from the engine and from the settings.

import type { Tokenizer } from '../../tokens/tokenizer.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { EngineSpec } from '../config/engine-spec.ts';
import type { FeedSource } from '../engines/announced-feeds.ts';
import type { Engine } from '../engines/engine.ts';
import { ranksMax } from '../engines/engine-limits.ts';
import type { CacheConfig } from '../engines/engine-metrics.ts';
import { ProbeError } from '../engines/engine-probe.ts';
import type { ModelEntry } from '../engines/listed-models.ts';
import { Remarks } from '../engines/remarks.ts';
import type { TokenizerVerdict } from '../engines/tokenizer-verdict.ts';
import type { ToldOfCache, WorkerTraits } from '../engines/worker-traits.ts';
import { statedEndpoint } from '../feeds/feed-address.ts';
import { routingBlockSize } from '../feeds/feed-block-size.ts';
import { askableTokens, compareTokenizers } from '../proof/tokenizer-parity.ts';

/** vLLM's default, used if the size is unknown. */
const assumedBlockSize = 16;

export interface RankFacts {
  readonly rank: number;
  readonly traits: WorkerTraits;
  readonly feed: FeedSource | null;
  readonly told: ToldOfCache;
}

export interface EngineFacts {
  /** At least one. */
  readonly models: readonly ModelEntry[];
  /** By rank; at least one. */
  readonly ranks: readonly RankFacts[];
  readonly tokenizer: TokenizerVerdict;
  /** Unusable statements of the engine. */
  readonly remarks: readonly string[];
}

/** The engine answers but must not be used as configured. */
export class EngineUnfit extends Error {
  override readonly name = 'EngineUnfit';
}

/**
 * @throws ProbeError if the engine can't be reached
 * @throws EngineUnfit if it must not be used
 */
export async function learnFacts(
  engine: Engine,
  config: GatewayConfig,
  tokenizer: Tokenizer | null,
): Promise<EngineFacts> {
  const { spec, probe } = engine;
  const remarks = new Remarks();
  const models = spec.model === undefined ? await probe.models(remarks) : [statedModel(spec.model)];
  if (models.length === 0) throw new EngineUnfit('it lists no model');
  // Nothing else reveals this, since a configured model is not looked up.
  if (spec.model !== undefined && spec.url.endsWith('/v1')) {
    remarks.add('its address ends with "/v1", to which requests add another "/v1": leave it out');
  }
  const caches = (await optional(probe.cacheConfigs(remarks), remarks)) ?? [];
  const announced = await optional(probe.feedAnnouncements(remarks), remarks);
  const verdict = await checkTokenizer(engine, models[0]!.id, config, tokenizer);
  // The operator's address takes precedence, for as many ranks as the metrics show.
  const offered = spec.kvEvents === undefined ? (announced ?? []) : [];
  const ranks = new Set([...caches, ...offered].map(({ rank }) => rank));
  // If each rank has its own address, the rank behind this one may not be 0.
  if (ranks.size === 0) ranks.add(0);
  const lowest = Math.min(...ranks);
  const highest = Math.max(...ranks);
  if (highest >= ranksMax) {
    throw new EngineUnfit(`it has the data-parallel rank ${highest}: at most ${ranksMax} ranks are supported`);
  }
  const rankFacts = (rank: number): RankFacts => {
    const announcement = announced?.find((one) => one.rank === rank);
    const feed = withTopic(
      spec,
      statedFeed(spec, rank, rank - lowest) ?? (announcement?.kind === 'source' ? announcement.source : null),
    );
    const cache = caches.find((config) => config.rank === rank);
    const told = {
      prefixCaching: cache?.prefixCaching ?? null,
      blockSize: cache?.blockSize ?? null,
      events: announced === null ? ({ kind: 'unknown' } as const) : (announcement ?? ({ kind: 'off', rank } as const)),
    };
    const matches = tokenizer !== null || verdict.text === 'asked';
    return { rank, feed, told, traits: traitsOf(engine, config, cache, feed !== null && matches) };
  };
  const facts = [...ranks].sort((a, b) => a - b).map(rankFacts);
  return { models, tokenizer: verdict, ranks: facts, remarks: remarks.texts };
}

function traitsOf(
  { spec }: Engine,
  config: GatewayConfig,
  cache: CacheConfig | undefined,
  usesEvents: boolean,
): WorkerTraits {
  const setBlockSize = spec.blockSize ?? (config.blockSize === 'auto' ? null : config.blockSize);
  const toldBlockSize = cache?.blockSize ?? null;
  const pageSize = toldBlockSize ?? setBlockSize ?? assumedBlockSize;
  // A setting that is not a multiple stays; the events decide whether it can be used.
  const fitting = routingBlockSize(pageSize, setBlockSize);
  const blockSize = fitting ?? setBlockSize!;
  const toldBlocks =
    cache === undefined || cache.capacityBlocks === null
      ? null
      : Math.max(1, Math.floor((cache.capacityBlocks * pageSize) / blockSize));
  return {
    blockSize,
    pageSize: fitting === null ? blockSize : pageSize,
    pageSizeTold: false,
    pageSizeUnfit: null,
    blockSizeFrom: setBlockSize !== null ? 'setting' : toldBlockSize !== null ? 'engine' : 'assumed',
    capacityBlocks: spec.capacityBlocks ?? toldBlocks ?? config.defaultCapacityBlocks,
    capacityFrom: spec.capacityBlocks !== undefined ? 'setting' : toldBlocks !== null ? 'engine' : 'assumed',
    source: usesEvents ? 'events' : 'approximate',
  };
}

/**
 * The built-in vocabulary fits few engines, so each must prove that it matches. The operator's own tokenizer is refused
 * only on evidence.
 */
async function checkTokenizer(
  { probe, tokenizer: before }: Engine,
  model: string,
  config: GatewayConfig,
  tokenizer: Tokenizer | null,
): Promise<TokenizerVerdict> {
  if (tokenizer === null) {
    return config.tokenizer === 'engine'
      ? askableTokens(probe, model, before)
      : { text: 'unchecked', chat: 'unchecked' };
  }
  const verdict = await compareTokenizers(probe, model, tokenizer);
  if (config.trustTokenizer) return verdict;
  if (verdict.text === 'differs') {
    throw new EngineUnfit(`its /tokenize returns token ids that differ from those of ${tokenizer.name}`);
  }
  if (verdict.text === 'double-bos') {
    throw new EngineUnfit(`its /tokenize and ${tokenizer.name} differ by a BOS that one of them writes twice`);
  }
  if (verdict.text === 'unavailable' && config.tokenizer === 'builtin') {
    throw new EngineUnfit('it has no /tokenize to show that its tokenizer is the built-in one');
  }
  return verdict;
}

/**
 * Awaits an optional answer: metrics or KV-event sources. Throws only if the engine does not answer at all. @returns
 * null if the engine has no usable answer
 */
async function optional<T>(answer: Promise<T>, remarks: Remarks): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof ProbeError) || error.status === 0) throw error;
    // The route exists, but its answer is unusable.
    if (error.status <= 299) remarks.add(error.message);
    return null;
  }
}

function statedModel(id: string): ModelEntry {
  const description = { id, object: 'model', created: 0, owned_by: 'kvoyant' };
  return { id, parent: null, description };
}

/**
 * The configured feed of a rank. Each rank publishes on the ports after those of the rank before. @param offset from
 * the first rank at this address
 */
function statedFeed({ kvEvents, kvReplay }: EngineSpec, rank: number, offset: number): FeedSource | null {
  if (kvEvents === undefined) return null;
  const { mode, endpoint } = statedEndpoint(kvEvents);
  const ofRank = (endpoint: string): string =>
    endpoint.replace(/(?<=^tcp:.*:)\d+$/, (port) => String(Number(port) + offset));
  return {
    rank,
    mode,
    endpoint: ofRank(endpoint),
    replayEndpoint: kvReplay === undefined ? null : ofRank(statedEndpoint(kvReplay).endpoint),
    topic: '',
  };
}

function withTopic({ kvTopic }: EngineSpec, feed: FeedSource | null): FeedSource | null {
  return feed === null || kvTopic === undefined ? feed : { ...feed, topic: kvTopic };
}
