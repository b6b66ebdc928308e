// The bench of threads runs small: every question gets its order.

import { join } from 'node:path';
import { expect, it } from 'vitest';
import { measureHop } from '../../bench/threads.ts';
import { TemporaryFolder } from '../gateway/temporary-folder.ts';

it('measures the hop, alone and with others', async () => {
  const folder = new TemporaryFolder();
  const channel = join(import.meta.dirname, '../../dist/gateway/fronts/message-channel.js');
  // The owner's part of bench/threads.ts, for a process that runs no TypeScript.
  const program = folder.write(
    'owner.mjs',
    `import { Socket } from 'node:net';
     import { MessageChannel } from ${JSON.stringify(channel)};
     const channel = new MessageChannel(new Socket({ fd: 4 }), {
       receive: ({ request }) => channel.post({ kind: 'attempt', request, order: {} }),
       lost: () => process.exit(0),
     });`,
  );
  for (const inFlight of [1, 8]) {
    const { p50, p99 } = await measureHop(program, { inFlight, requests: 40, blocks: 10 });
    expect(p50).toBeGreaterThan(0);
    expect(p99).toBeGreaterThanOrEqual(p50);
  }
  folder.remove();
});
