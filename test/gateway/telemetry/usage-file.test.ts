// The file for billing: complete, whatever happens to the disk and the file.

import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { UsageEntry } from '../../../src/gateway/telemetry/usage-entry.ts';
import { openUsageFile, type UsageFate, type UsageFile } from '../../../src/gateway/telemetry/usage-file.ts';
import { until } from '../../../src/gateway/until.ts';

const log = pino({ level: 'silent' });
const entry: UsageEntry = {
  tenant: 'acme',
  key: 'acme-1',
  model: 'm',
  requestId: 'r',
  requests: 1,
  promptTokens: 100,
  cachedTokens: 60,
  outputTokens: 7,
  source: 'engine',
  outcome: 'done',
};
/** Five times the second within which a line must be there. */
const deadlineMs = 5000;

let folder: string;
let path: string;
let fates: Map<UsageFate, number>;
let opened: UsageFile[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kvoyant-usage-'));
  path = join(folder, 'usage.jsonl');
  fates = new Map();
  opened = [];
});

afterEach(async () => {
  for (const file of opened) await file.close();
  await rm(folder, { recursive: true });
});

async function openFile(bufferBytesMax = 1_000_000): Promise<UsageFile> {
  const onLines = (fate: UsageFate, count: number): void => void fates.set(fate, (fates.get(fate) ?? 0) + count);
  const file = (await openUsageFile({ usageFile: path, usageBufferBytesMax: bufferBytesMax }, { log, onLines }))!;
  opened.push(file);
  return file;
}

async function linesAt(at: string): Promise<UsageEntry[]> {
  const text = await readFile(at, 'utf8').catch(() => '');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as UsageEntry);
}

async function wait(isThere: () => Promise<boolean>): Promise<void> {
  let there = false;
  let asking = false;
  const look = async (): Promise<void> => {
    asking = true;
    there = await isThere();
    asking = false;
  };
  expect(
    await until(() => {
      if (!asking && !there) void look();
      return there;
    }, deadlineMs),
  ).toBe(true);
}

describe('the usage file', () => {
  it('has every line soon, without a close', async () => {
    const file = await openFile();
    for (let i = 0; i < 10; i++) file.add({ ...entry, requestId: `r${i}` });
    await wait(async () => (await linesAt(path)).length === 10);
    const [first] = await linesAt(path);
    expect(first).toEqual({ ...entry, requestId: 'r0', time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string });
    await wait(async () => fates.get('written') === 10);
  });

  it('goes on in a new file after a rotation, and loses nothing', async () => {
    const file = await openFile();
    file.add({ ...entry, requestId: 'before' });
    await wait(async () => (await linesAt(path)).length === 1);
    await rename(path, `${path}.1`);
    file.add({ ...entry, requestId: 'after' });
    await wait(async () => (await linesAt(path)).length === 1);
    expect((await linesAt(path)).map(({ requestId }) => requestId)).toEqual(['after']);
    expect((await linesAt(`${path}.1`)).map(({ requestId }) => requestId)).toEqual(['before']);
  });

  it('removes a line that a crash has cut, and keeps the others', async () => {
    await writeFile(path, `${JSON.stringify(entry)}\n{"time":"2026`);
    const file = await openFile();
    file.add({ ...entry, requestId: 'next' });
    await file.close();
    expect((await linesAt(path)).map(({ requestId }) => requestId)).toEqual(['r', 'next']);
  });

  it('keeps what can not be written until it can, and sums up what does not fit in memory', async () => {
    const file = await openFile(1000);
    await rm(folder, { recursive: true });
    for (let i = 0; i < 50; i++) file.add({ ...entry, key: i % 2 === 0 ? 'a' : 'b' });
    await wait(async () => (fates.get('write-failed') ?? 0) > 0);
    expect(fates.get('written')).toBeUndefined();
    folder = await mkdtemp(join(tmpdir(), 'kvoyant-usage-'));
    await rename(folder, join(path, '..'));
    folder = join(path, '..');
    const total = (lines: readonly UsageEntry[], of: 'requests' | 'promptTokens' | 'cachedTokens' | 'outputTokens') =>
      lines.reduce((sum, line) => sum + line[of]!, 0);
    await wait(async () => total(await linesAt(path), 'requests') === 50);
    const lines = await linesAt(path);
    expect(lines.length).toBeLessThan(20);
    expect(lines.filter(({ requestId }) => requestId === null).length).toBe(2);
    expect(['promptTokens', 'cachedTokens', 'outputTokens'].map((of) => total(lines, of as 'requests'))).toEqual([
      ...[5000, 3000, 350],
    ]);
  });

  it('that can not be opened is a fault of the settings', async () => {
    path = join(folder, 'none', 'usage.jsonl');
    await expect(openFile()).rejects.toMatchObject({ setting: 'usageFile' });
    path = folder;
    await expect(openFile()).rejects.toMatchObject({ setting: 'usageFile' });
  });
});
