// Makes the pictures of the page in docs/images: a gateway before eight simulated engines, one of them slow, under bursts.
//
// Needs `npm run build`, `npm ci` in test/, and Chromium. `--all FOLDER` photographs every view instead, at desktop and
// phone size, dark and light.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { engineListening, gatewayListening, startKvoyant, stopAll } from './kvoyant-processes.mjs';
import { root } from './set-up.mjs';

const { chromium } = createRequire(join(root, 'test', 'package.json'))('playwright-core');
const model = 'llama-3.1-8b';
const warmUpMs = 40_000;

const words = 'the router keeps a ledger of blocks that every request will need while it is in flight'.split(' ');

/** Text of about so many tokens, the same for the same seed. */
function prose(seed, tokens) {
  let state = (Math.imul(seed, 747796405) + 2891336453) >>> 0;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return words[(state >>> 16) % words.length];
  };
  return Array.from({ length: tokens }, next).join(' ');
}

const prefixes = Array.from({ length: 24 }, (_, at) => prose(at + 1, 600 + ((at * 353) % 1900)));

async function ask(clients, number) {
  // The first prefixes are the hottest.
  const prefix = prefixes[Math.floor(prefixes.length * ((number * 0.61803) % 1) ** 2.4)];
  const body = { model, prompt: `${prefix} ${prose(1000 + number, 90)}`, max_tokens: 70, stream: true };
  const response = await fetch(`${clients}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-mock-output-len': '70' },
    body: JSON.stringify(body),
  });
  for await (const _ of response.body);
}

/** About nine requests a second, and a burst of forty every twelve seconds. */
async function drive(clients, signal) {
  const running = new Set();
  for (let number = 0; !signal.aborted; number++) {
    const one = ask(clients, number).catch(() => {});
    running.add(one);
    void one.then(() => running.delete(one));
    if (number % 140 > 40) await sleep(110);
  }
  await Promise.all(running);
}

const views = {
  fleet: '#/fleet',
  decisions: '#/decisions',
  decision: null,
  prefixes: '#/prefixes',
  truth: '#/truth',
  'what-if': '#/what-if',
};

/** The latest decision that has ended, with a prompt partly in the cache. */
async function tellingDecision(operators) {
  const { decisions } = await (await fetch(`${operators}/page/decisions?limit=200`)).json();
  const ended = decisions.filter(({ outcome, actualTtftMs }) => outcome === 'done' && actualTtftMs !== null);
  const telling = ended.find(({ predictedCachedTokens, promptTokens }) => predictedCachedTokens > promptTokens / 2);
  return (telling ?? ended[0] ?? decisions[0]).requestId;
}

async function photograph(browser, operators, { view, viewport, colorScheme, file, fullPage }) {
  const context = await browser.newContext({ viewport, colorScheme });
  const page = await context.newPage();
  page.on('console', (message) => console.log(`${view}: ${message.text()}`));
  page.on('pageerror', (error) => console.log(`${view}: ${error.message}`));
  const hash = views[view] ?? `#/decisions/${encodeURIComponent(await tellingDecision(operators))}`;
  await page.goto(`${operators}/dashboard/${hash}`, { timeout: 120_000 });
  await page.waitForTimeout(2500);
  if (view === 'what-if' && (await page.locator('table.what-if').count()) === 0) {
    await page.getByRole('button', { name: 'Replay' }).click();
    await page.locator('table.what-if').waitFor({ timeout: 120_000 });
  }
  await page.screenshot({ path: file, fullPage });
  await context.close();
}

const folder = process.argv[2] === '--all' ? process.argv[3] : join(root, 'docs', 'images');
const desktop = { width: 1280, height: 800 };
const scratch = mkdtempSync(join(tmpdir(), 'kvoyant-pictures-'));
try {
  mkdirSync(folder, { recursive: true });
  const engineFlags = ['sim-worker', '--port', '0', '--kv-events-port', '0', '--model', model, '--blocks', '3000'];
  const { found: fast } = await startKvoyant([...engineFlags, '--count', '7'], engineListening, 7);
  const { found: slow } = await startKvoyant([...engineFlags, '--count', '1', '--speedup', '0.45'], engineListening, 1);
  const { found } = await startKvoyant(
    [
      ...['serve', ...[...fast, ...slow].flatMap((url) => ['--worker', url]), '--tokenizer', 'builtin'],
      ...['--inject-usage', '--port', '0', '--admin-port', '0', '--record', join(scratch, 'traffic.jsonl')],
    ],
    gatewayListening,
    2,
  );
  const [operators, clients] = found;
  const stop = new AbortController();
  await sleep(3000);
  const traffic = drive(clients, stop.signal);
  await sleep(warmUpMs);
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  const shoot = (one) => photograph(browser, operators, { viewport: desktop, ...one });
  if (process.argv[2] === '--all') {
    for (const view of Object.keys(views)) {
      for (const colorScheme of ['dark', 'light']) {
        for (const [size, viewport] of Object.entries({ desktop, phone: { width: 390, height: 844 } })) {
          const file = join(folder, `${view}-${size}-${colorScheme}.png`);
          await shoot({ view, viewport, colorScheme, file, fullPage: view !== 'decisions' });
        }
      }
    }
  } else {
    await shoot({ view: 'fleet', colorScheme: 'dark', file: join(folder, 'page-fleet.png') });
    await shoot({ view: 'decision', colorScheme: 'light', file: join(folder, 'page-decision.png') });
  }
  await browser.close();
  stop.abort();
  await traffic;
} finally {
  stopAll();
  rmSync(scratch, { recursive: true, force: true });
}
