// `kvoyant top`: the fleet of a running gateway in the terminal, new each second.

import { Command, InvalidArgumentError, Option } from 'commander';
import { request } from 'undici';
import type { Snapshot } from '../gateway/page/page-data.ts';
import { addHelpNotes } from './help-layout.ts';
import { topLines } from './top-view.ts';

const requestMsMax = 5000;
/** Without a terminal. */
const plainColumns = 120;

interface Flags {
  readonly once?: true;
  readonly intervalS: number;
}

export function topCommand(): Command {
  const command = new Command('top')
    .description(
      'Shows the workers of a running gateway: their load, pace and health, most loaded first. Keys: q ends it. Without ' +
        'a terminal it prints one table and ends.',
    )
    .argument('[url]', "address of the gateway's operators", 'http://127.0.0.1:8001')
    .option('--once', 'print one table and end')
    .addOption(new Option('--interval-s <s>', 'time between two tables, in seconds').argParser(intervalS).default(1))
    .action(async (url: string, flags: Flags) => {
      const key = process.env['KVOYANT_ADMIN_KEY'] ?? process.env['KVOYANT_VIEW_KEY'] ?? null;
      process.exitCode = await top(url, key, flags);
    });
  return addHelpNotes(command, {
    examples: [
      ['The gateway on this machine:', 'kvoyant top'],
      ['Another one, with a key:', 'KVOYANT_VIEW_KEY=... kvoyant top https://router.example:8001'],
    ],
    notes: ['The key of operators comes from KVOYANT_ADMIN_KEY or KVOYANT_VIEW_KEY. NO_COLOR turns colours off.'],
  });
}

async function top(url: string, key: string | null, { once, intervalS: seconds }: Flags): Promise<number> {
  const { stdout, stdin } = process;
  if (once === true || !stdout.isTTY) {
    try {
      const layout = { columns: stdout.columns ?? plainColumns, rows: null, colour: false };
      for (const line of topLines(await snapshotOf(url, key), layout)) console.log(line);
      return 0;
    } catch (error) {
      console.error(`kvoyant top: ${(error as Error).message}`);
      return 1;
    }
  }
  const ended = new AbortController();
  const end = (): void => ended.abort();
  process.once('SIGINT', end).once('SIGTERM', end);
  const onKey = (bytes: Buffer): void => {
    // In raw mode Ctrl-C is a byte, too.
    if (bytes.includes('q') || bytes.includes(3)) end();
  };
  if (stdin.isTTY) stdin.setRawMode(true).on('data', onKey).resume();
  // The alternate screen: what was in the terminal comes back at the end.
  stdout.write('\u001b[?1049h\u001b[?25l');
  try {
    while (!ended.signal.aborted) {
      stdout.write(await screen(url, key));
      await pause(seconds * 1000, ended.signal);
    }
  } finally {
    stdout.write('\u001b[?25h\u001b[?1049l');
    if (stdin.isTTY) stdin.setRawMode(false).off('data', onKey).pause();
  }
  return 0;
}

/** One picture; an error is shown in place of the fleet. */
async function screen(url: string, key: string | null): Promise<string> {
  const { columns, rows } = process.stdout;
  const colour = process.env['NO_COLOR'] === undefined || process.env['NO_COLOR'] === '';
  let lines: string[];
  try {
    lines = topLines(await snapshotOf(url, key), { columns, rows: rows - 1, colour });
  } catch (error) {
    lines = [`${(error as Error).message}`.slice(0, columns), 'Trying again. q ends.'];
  }
  // Each line is cleared to its end, and the screen below the last one: no flicker.
  return `\u001b[H${lines.map((line) => `${line}\u001b[K`).join('\r\n')}\u001b[J`;
}

/** @throws Error with a message for people */
async function snapshotOf(url: string, key: string | null): Promise<Snapshot> {
  const answer = await request(new URL('/page/snapshot', url), {
    headers: key === null ? {} : { authorization: `Bearer ${key}` },
    headersTimeout: requestMsMax,
    bodyTimeout: requestMsMax,
  }).catch((error: unknown) => {
    throw new Error(`no answer from ${url}: ${(error as Error).message}`);
  });
  if (answer.statusCode === 200) return (await answer.body.json()) as Snapshot;
  const text = await answer.body.text();
  if (answer.statusCode === 401) throw new Error(`${url} needs a key: set KVOYANT_ADMIN_KEY or KVOYANT_VIEW_KEY`);
  if (answer.statusCode === 404) throw new Error(`${url} is not the address of a gateway's operators`);
  throw new Error(`${url} answered ${answer.statusCode}: ${text.slice(0, 200)}`);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function intervalS(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0.1 && value <= 3600) return value;
  throw new InvalidArgumentError('--interval-s must be a number from 0.1 to 3600.');
}
