// The lab bench runs on a small part of its workload.

import { expect, it, vi } from 'vitest';
import { benchReplay, workloadToReplay } from '../../bench/replay.ts';
import { firstRequests } from '../../src/trace/arrival-process.ts';

it('runs small', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  benchReplay(firstRequests(await workloadToReplay(undefined), 60), ['round-robin', 'kv']);
  const lines = log.mock.calls.flat().map(String);
  log.mockRestore();
  expect(lines[0]).toContain('tool-like: 60 requests');
  expect(lines.slice(2).map((line) => line.split(' ')[0])).toEqual(['round-robin', 'kv']);
});
