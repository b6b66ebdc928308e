import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { growthFlag } from '../../src/cli/heap-growth.ts';

it('uses a flag that this Node knows', () => {
  const set = (flag: string): string => {
    const code = `require('node:v8').setFlagsFromString('${flag}=150')`;
    return spawnSync(process.execPath, ['-e', code], { encoding: 'utf8' }).stderr;
  };
  expect(set(growthFlag)).toBe('');
  expect(set('--no-such-flag')).toContain('unrecognized');
});
