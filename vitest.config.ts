import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A test that states nothing can't fail.
    expect: { requireAssertions: true },
    pool: 'forks',
    maxWorkers: 2,
  },
});
