// Publishes KV events like llm-d-inference-sim, including its differences from an engine.

import { XPublisher } from 'zeromq';
import { writeSeq } from '../../src/wire/kv-events-frames.ts';

const flushEvents = 16;
const flushMs = 1000;

/**
 * It connects, with a topic `kv@HOST:PORT@MODEL`; numbers batches from 1; sends every 16 events or every second; writes
 * arrays of 9 fields with integers as wide as Go writes them; gives root blocks the parent 0; announces all blocks of a
 * prompt when the request starts; and has its own hash.
 */
export class LlmDSimPublisher {
  readonly topic: string;
  readonly #socket = new XPublisher({ linger: 0, reconnectInterval: 20 });
  readonly #blockSize: number;
  readonly #asMaps: boolean;
  readonly #cached = new Set<bigint>();
  readonly #timer: NodeJS.Timeout;
  #pending: Buffer[] = [];
  #nextSeq = 1;
  #sending: Promise<void> = Promise.resolve();

  constructor(endpoint: string, topic: string, blockSize: number, asMaps = false) {
    this.topic = topic;
    this.#blockSize = blockSize;
    this.#asMaps = asMaps;
    this.#socket.connect(endpoint);
    this.#timer = setInterval(() => this.#flush(), flushMs);
  }

  get cachedBlocks(): number {
    return this.#cached.size;
  }

  /** Resolves when a subscriber has arrived; earlier batches are lost. */
  async whenSubscribed(): Promise<void> {
    await this.#socket.receive();
  }

  /** The blocks of a prompt, one event each. */
  request(tokens: readonly number[]): void {
    let parent = 0n;
    for (let at = 0; at + this.#blockSize <= tokens.length; at += this.#blockSize) {
      const block = tokens.slice(at, at + this.#blockSize);
      const hash = fnv1a(parent, block);
      if (!this.#cached.has(hash)) this.#event(this.#stored(hash, parent, block));
      this.#cached.add(hash);
      parent = hash;
    }
  }

  /** Evicts in any order: a prefix may be evicted before its continuation. */
  evict(count: number): void {
    for (const hash of [...this.#cached].slice(0, count)) {
      this.#cached.delete(hash);
      this.#event(this.#removed(hash));
    }
  }

  /** The effect of `/sleep`. */
  clear(): void {
    this.#cached.clear();
    this.#event(this.#asMaps ? map([text('type'), text('AllBlocksCleared')]) : array(text('AllBlocksCleared')));
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }

  #stored(hash: bigint, parent: bigint, tokens: readonly number[]): Buffer {
    const hashes = array(uint64(hash));
    const ids = array(...tokens.map(uint32));
    const size = int64(this.#blockSize);
    if (!this.#asMaps) {
      return array(text('BlockStored'), hashes, uint64(parent), ids, size, nil, text('GPU'), nil, nil);
    }
    return map(
      [text('type'), text('BlockStored')],
      [text('block_hashes'), hashes],
      [text('parent_block_hash'), parent === 0n ? nil : uint64(parent)],
      [text('token_ids'), ids],
      [text('block_size'), size],
      [text('lora_id'), nil],
      [text('medium'), text('GPU')],
      [text('lora_name'), nil],
    );
  }

  #removed(hash: bigint): Buffer {
    const hashes = array(uint64(hash));
    if (!this.#asMaps) return array(text('BlockRemoved'), hashes, text('GPU'));
    return map([text('type'), text('BlockRemoved')], [text('block_hashes'), hashes], [text('medium'), text('GPU')]);
  }

  #event(event: Buffer): void {
    this.#pending.push(event);
    if (this.#pending.length === flushEvents) this.#flush();
  }

  #flush(): void {
    if (this.#pending.length === 0) return;
    const payload = array(float64(Date.now() / 1000), array(...this.#pending), int64(0));
    const seq = this.#nextSeq++;
    this.#pending = [];
    this.#sending = this.#sending.then(() => this.#socket.send([this.topic, writeSeq(seq), payload]));
  }
}

const nil = Buffer.from([0xc0]);

function array(...items: readonly Buffer[]): Buffer {
  const head = items.length < 16 ? [0x90 | items.length] : [0xdc, items.length >> 8, items.length & 0xff];
  return Buffer.concat([Buffer.from(head), ...items]);
}

function map(...entries: readonly (readonly [Buffer, Buffer])[]): Buffer {
  return Buffer.concat([Buffer.from([0x80 | entries.length]), ...entries.flat()]);
}

function text(value: string): Buffer {
  return Buffer.concat([Buffer.from([0xa0 | value.length]), Buffer.from(value)]);
}

function uint64(value: bigint): Buffer {
  const bytes = Buffer.from([0xcf, 0, 0, 0, 0, 0, 0, 0, 0]);
  bytes.writeBigUInt64BE(value, 1);
  return bytes;
}

function int64(value: number): Buffer {
  const bytes = Buffer.from([0xd3, 0, 0, 0, 0, 0, 0, 0, 0]);
  bytes.writeBigInt64BE(BigInt(value), 1);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.from([0xce, 0, 0, 0, 0]);
  bytes.writeUInt32BE(value, 1);
  return bytes;
}

function float64(value: number): Buffer {
  const bytes = Buffer.from([0xcb, 0, 0, 0, 0, 0, 0, 0, 0]);
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

/** Chained; the exact input does not matter to a subscriber. */
function fnv1a(parent: bigint, tokens: readonly number[]): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const word of [parent, ...tokens.map(BigInt)]) {
    for (let shift = 0n; shift < 64n; shift += 8n) {
      hash = BigInt.asUintN(64, (hash ^ ((word >> shift) & 0xffn)) * 0x100000001b3n);
    }
  }
  return hash;
}
