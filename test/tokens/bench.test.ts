// The tokenizer bench runs, and all tokenizers give equal ids.

import { expect, it, vi } from 'vitest';
import { benchTokens } from '../../bench/tokens.ts';

it('runs small', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  await benchTokens(3);
  const printed = log.mock.calls.flat().join('\n');
  log.mockRestore();
  expect(printed.match(/prompts with other ids: 0/g)).toHaveLength(12);
});
