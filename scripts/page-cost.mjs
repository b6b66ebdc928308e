// Measures what the page costs a gateway: processor time with one viewer and with none, in windows that take turns.
//
// Needs `npm run build`, and Linux (/proc). `node scripts/page-cost.mjs [WORKERS] [REQUESTS_PER_S] [PAIRS]`

import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { engineListening, gatewayListening, startKvoyant, stopAll } from './kvoyant-processes.mjs';

const [workers = 64, requestsPerS = 20, pairs = 6] = process.argv.slice(2).map(Number);
const windowMs = 10_000;
const ticksPerS = 100;

/** Processor seconds so far, of all threads. */
function processorS({ pid }) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerS;
}

async function ask(clients, number) {
  const body = { model: 'sim', prompt: `${'a shared beginning of some length '.repeat(20)} ${number}`, max_tokens: 4 };
  const headers = { 'content-type': 'application/json' };
  const options = { method: 'POST', headers, body: JSON.stringify({ ...body, stream: true }) };
  const response = await fetch(`${clients}/v1/completions`, options);
  await response.arrayBuffer();
}

async function drive(clients, signal) {
  const running = new Set();
  for (let number = 0; requestsPerS > 0 && !signal.aborted; number++) {
    const one = ask(clients, number).catch(() => {});
    running.add(one);
    void one.then(() => running.delete(one));
    await sleep(1000 / requestsPerS);
  }
  await Promise.all(running);
}

/** Share of a core in one window, and the bytes that the viewer read. */
async function measure(gateway, operators, isWatched) {
  let bytes = 0;
  const viewer = isWatched ? get(`${operators}/page/stream`) : null;
  viewer?.on('response', (response) => response.on('data', (piece) => (bytes += piece.length)));
  viewer?.on('error', () => {});
  await sleep(500);
  const [fromS, fromMs] = [processorS(gateway), performance.now()];
  await sleep(windowMs);
  const share = (processorS(gateway) - fromS) / ((performance.now() - fromMs) / 1000);
  viewer?.destroy();
  return { share, bytesPerS: bytes / (windowMs / 1000) };
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const percent = (share) => `${(100 * share).toFixed(2)} %`;

try {
  const engineFlags = ['sim-worker', '--port', '0', '--kv-events-port', '0', '--model', 'sim'];
  const { found: urls } = await startKvoyant([...engineFlags, '--count', String(workers)], engineListening, workers);
  const { child: gateway, found } = await startKvoyant(
    [
      ...['serve', ...urls.flatMap((url) => ['--worker', url]), '--tokenizer', 'builtin', '--no-canary'],
      ...['--inject-usage', '--port', '0', '--admin-port', '0', '--log-level', 'warn'],
    ],
    gatewayListening,
    2,
  );
  const [operators, clients] = found;
  await sleep(8000);
  const stop = new AbortController();
  const traffic = drive(clients, stop.signal);
  await sleep(5000);
  const [none, one, extra, bytes] = [[], [], [], []];
  for (let pair = 0; pair < pairs; pair++) {
    // Which comes first takes turns too: a machine that slows down must not favour one of them.
    const order = pair % 2 === 0 ? [false, true] : [true, false];
    const shares = new Map();
    for (const isWatched of order) {
      const { share, bytesPerS } = await measure(gateway, operators, isWatched);
      shares.set(isWatched, share);
      if (isWatched) bytes.push(bytesPerS);
    }
    none.push(shares.get(false));
    one.push(shares.get(true));
    extra.push(shares.get(true) - shares.get(false));
  }
  stop.abort();
  await traffic;
  console.log(
    `${workers} workers, ${requestsPerS} requests a second, ${pairs} pairs of windows of ${windowMs / 1000} s`,
  );
  console.log(`gateway without a viewer: ${percent(median(none))} of a core (median)`);
  console.log(
    `gateway with one viewer:  ${percent(median(one))} of a core, ${Math.round(median(bytes) / 1000)} kB/s sent`,
  );
  console.log(`the viewer's share:       ${percent(median(extra))} of a core (median of the differences)`);
} finally {
  stopAll();
}
