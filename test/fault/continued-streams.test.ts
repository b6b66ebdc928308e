import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../e2e/harness.ts';
import { report, size } from './fault-report.ts';
import { atRest, endAll, getText, type Program, restartSim, startGateway, startSim } from './processes.ts';

const engineCount = size(4, 3);
const streamCount = size(300, 30);
const outputTokens = size(200, 80);
const model = 'scripted';
/** Exact token ids of the built-in vocabulary. */
const idPrompt = [9906, 1917, 11, 420, 374, 264, 1296];

let folder = '';
let engines: Program[] = [];
let gateway: Program | undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kvoyant-continue-'));
  engines = await Promise.all(Array.from({ length: engineCount }, () => startSim(1)));
});
afterEach(() => gateway?.end());
afterAll(async () => {
  await endAll(engines);
  rmSync(folder, { recursive: true, force: true });
});

interface Told {
  readonly text: string;
  readonly finish: string | null;
  readonly ids: ReadonlySet<string>;
  readonly roles: number;
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
}

const common = {
  model,
  stream: true,
  temperature: 0,
  max_tokens: outputTokens,
  stream_options: { include_usage: true },
  ...{ ignore_eos: true },
} as const;

/** Chunks that all clients have got. */
let chunkCount = 0;

const client = (url: string): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });

async function chat(url: string, content: string): Promise<Told> {
  const stream = await client(url).chat.completions.create({ ...common, messages: [{ role: 'user', content }] });
  let [text, finish, roles] = ['', null as string | null, 0];
  const ids = new Set<string>();
  let usage: Told['usage'] = null;
  for await (const chunk of stream) {
    chunkCount += 1;
    ids.add(`${chunk.id} ${chunk.created} ${chunk.model}`);
    const [choice] = chunk.choices;
    if (typeof choice?.delta.role === 'string') roles += 1;
    text += choice?.delta.content ?? '';
    finish = choice?.finish_reason ?? finish;
    if (chunk.usage) {
      expect(usage).toBeNull();
      usage = chunk.usage;
    }
  }
  return { text, finish, ids, roles, usage };
}

async function complete(url: string, prompt: string | number[]): Promise<Told> {
  const stream = await client(url).completions.create({ ...common, prompt });
  let [text, finish] = ['', null as string | null];
  const ids = new Set<string>();
  let usage: Told['usage'] = null;
  for await (const chunk of stream) {
    chunkCount += 1;
    ids.add(`${chunk.id} ${chunk.created} ${chunk.model}`);
    const [choice] = chunk.choices;
    text += choice?.text ?? '';
    finish = choice?.finish_reason ?? finish;
    if (chunk.usage) usage = chunk.usage;
  }
  return { text, finish, ids, roles: 1, usage };
}

const ways: readonly ((url: string, i: number) => Promise<Told>)[] = [
  (url, i) => chat(url, `Question ${i}: why is the sky blue?`),
  (url, i) => complete(url, `Story ${i}. Once upon a time`),
  (url, i) => complete(url, [...idPrompt, 100 + i]),
];

const ask = (url: string, i: number): Promise<Told> => ways[i % ways.length]!(url, i);

async function interrupted(gateway: Program, outcome: string): Promise<number> {
  const text = await getText(`${gateway.adminUrl}/metrics`);
  const line = new RegExp(`^kvoyant_interrupted_streams_total\\{outcome="${outcome}",reason=""\\} (\\d+)`, 'm').exec(
    text,
  );
  return Number(line?.[1] ?? 0);
}

describe('with continue, streams of an engine that is killed go on at others', () => {
  it.each<[string, readonly string[]]>([
    ['', []],
    [', relayed by one of three processes', ['--threads', '2']],
  ])('and each client has the text, the usage and the end of an undisturbed answer%s', async (how, options) => {
    const usageFile = join(folder, `usage${options.length}.jsonl`);
    const flags = ['--continue', '--tokenizer', 'builtin', '--usage-file', usageFile, ...options];
    const under = await startGateway(engines, ...flags);
    gateway = under;
    const expected = await Promise.all(Array.from({ length: streamCount }, (_, i) => ask(engines[0]!.url, i)));
    const beforehand = chunkCount;
    const answers = Promise.all(Array.from({ length: streamCount }, (_, i) => ask(under.url, i)));
    // Every stream has a few tokens on average, and is far from its end.
    await eventually(() => chunkCount - beforehand >= 3 * streamCount, 30_000);
    engines[0]!.signal('SIGKILL');
    const told = await answers;
    for (const [i, { text, finish, ids, roles, usage }] of told.entries()) {
      const wanted = expected[i]!;
      expect([i, text]).toEqual([i, wanted.text]);
      expect([finish, ids.size, roles]).toEqual(['length', 1, 1]);
      expect(usage).toMatchObject({
        prompt_tokens: wanted.usage!.prompt_tokens,
        completion_tokens: outputTokens,
        total_tokens: wanted.usage!.prompt_tokens + outputTokens,
      });
    }
    const continued = await interrupted(under, 'continued');
    expect(continued).toBeGreaterThan(0);
    await atRest(under);
    const billed = await billedOf(usageFile, told.length * outputTokens);
    expect(billed).toEqual({
      requests: told.length,
      outputTokens: told.length * outputTokens,
      promptTokens: expected.reduce((sum, { usage }) => sum + usage!.prompt_tokens, 0),
    });
    await restartSim(engines[0]!);
    report(
      `with \`continue\`${how}, 1 of ${engineCount} killed in mid-stream: failed of ${streamCount}`,
      `0; ${continued} went on at another engine, all with the text of an undisturbed answer`,
      'every text equal, usage and bill exact, load zero',
    );
  });
});

interface Billed {
  readonly requests: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** Lines are written late, and those of the engines that went on count no request. */
async function billedOf(usageFile: string, tokensMin: number): Promise<Billed> {
  const sum = (): Billed => {
    const lines = readFileSync(usageFile, 'utf8').trim().split('\n');
    const entries = lines.map((line) => JSON.parse(line) as Partial<Billed>);
    const of = (field: keyof Billed): number => entries.reduce((total, entry) => total + (entry[field] ?? 0), 0);
    return { requests: of('requests'), promptTokens: of('promptTokens'), outputTokens: of('outputTokens') };
  };
  await eventually(() => sum().outputTokens >= tokensMin, 10_000);
  return sum();
}
