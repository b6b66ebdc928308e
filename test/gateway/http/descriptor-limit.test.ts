import { expect, it } from 'vitest';
import { descriptorWarning } from '../../../src/gateway/http/descriptor-limit.ts';

it('warns if more connections are allowed than this process may open files', () => {
  expect(descriptorWarning(1)).toBe(null);
  if (process.platform !== 'linux') return;
  expect(descriptorWarning(1e12)).toMatch(/may open \d+ files, but 1000000000000 connections need \d+: .*ulimit -n/);
});
