import { expect, it, vi } from 'vitest';
import { rehearse } from '../../src/cli/rehearsal.ts';

const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')).length;

it('leaves no server and no connection behind', async () => {
  const before = sockets();
  await rehearse({ policy: 'kv' });
  await vi.waitFor(() => expect(sockets()).toBeLessThanOrEqual(before), { timeout: 10_000 });
});
