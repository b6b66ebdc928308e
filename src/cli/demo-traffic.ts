// Light traffic after the demo's tables, so that the page of the gateway that keeps running has something to show.

import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../core/random.ts';
import { completionBody } from '../load/load-request.ts';
import { OpenAiClient } from '../load/openai-client.ts';
import { loadTokenizer } from '../tokens/load-tokenizer.ts';
import { TextSource } from '../trace/text-source.ts';

/** It ends then: nobody looks any more, and what is recorded stays small. */
export const trafficHoursMax = 4;
/** A request that is due while so many are in flight is left out. */
export const inFlightMax = 48;

const prefixCount = 12;
const prefixTokensMin = 320;
const prefixTokensMax = 2400;
const questionTokensMin = 32;
const questionTokensMax = 480;
const outputTokensMin = 24;
const outputTokensMax = 120;
/** Requests a second for each engine, in the mean of a wave. */
const ratePerEngine = 0.25;
const ratePerSMax = 4;
/** The rate swings between a quarter and seven quarters of its mean. */
const waveMs = 60_000;
const waveShare = 0.75;
/** Now and then a batch of one prefix. */
const batchEveryMs = 24_000;
const batchRequests = 6;
const wordCount = 512;

export interface TrafficOptions {
  readonly gateway: string;
  readonly model: string;
  readonly engines: number;
  readonly seed: number;
  readonly signal: AbortSignal;
}

/** Requests a second in the mean. */
export function trafficPerS(engines: number): number {
  return Math.min(ratePerSMax, ratePerEngine * engines);
}

/** Sends until the signal, at most `trafficHoursMax`. Requests that fail are the page's to tell. */
export async function sendLightTraffic(options: TrafficOptions): Promise<void> {
  const { signal } = options;
  // One listener for each request in flight is not a leak.
  setMaxListeners(0, signal);
  const client = new OpenAiClient(options.gateway, { connectionsMax: inFlightMax });
  try {
    await send(client, options);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await client.close();
  }
}

async function send(client: OpenAiClient, { model, engines, seed, signal }: TrafficOptions): Promise<void> {
  const random = new Random(seed);
  const { source, prefixes } = await textsOf(random);
  let inFlight = 0;
  let index = 0;
  const ask = (prefix: number): void => {
    if (inFlight >= inFlightMax) return;
    inFlight += 1;
    const prompt = prefixes[prefix]! + source.text(between(questionTokensMin, questionTokensMax, random), random);
    const body = completionBody(model, prompt, between(outputTokensMin, outputTokensMax, random));
    const request = { index: index++, arrivalMs: 0, path: '/v1/completions', body };
    void client.send(request, signal).then(() => {
      inFlight -= 1;
    });
  };
  const startMs = performance.now();
  let batches = 0;
  for (;;) {
    const nowMs = performance.now() - startMs;
    if (nowMs > trafficHoursMax * 3_600_000) return;
    if (nowMs > (batches + 1) * batchEveryMs) {
      batches += 1;
      const prefix = hotPrefix(random);
      for (let i = 0; i < batchRequests; i++) ask(prefix);
    }
    ask(hotPrefix(random));
    const ratePerS = trafficPerS(engines) * (1 + waveShare * Math.sin((2 * Math.PI * nowMs) / waveMs));
    await sleep(random.exponential(1000 / ratePerS), undefined, { signal });
  }
}

async function textsOf(random: Random): Promise<{ readonly source: TextSource; readonly prefixes: readonly string[] }> {
  const codec = await loadTokenizer('builtin');
  try {
    const source = await TextSource.create(codec, random, wordCount);
    const lengths = Array.from({ length: prefixCount }, () => between(prefixTokensMin, prefixTokensMax, random));
    return { source, prefixes: lengths.map((tokens) => source.text(tokens, random)) };
  } finally {
    await codec.close();
  }
}

/** The first prefixes are the hottest. */
function hotPrefix(random: Random): number {
  return Math.floor(prefixCount * random.float() ** 2);
}

function between(min: number, max: number, random: Random): number {
  return min + random.below(max - min + 1);
}
