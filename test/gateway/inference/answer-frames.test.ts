// The frames of several answers at once: each client gets its own bytes, however slowly it reads.

import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AnswerFrames } from '../../../src/gateway/inference/answer-frames.ts';

/** A part of one client's answer. */
interface Write {
  readonly client: number;
  readonly bytes: number;
}

const clientCount = 4;
/** The first two clients read nothing before all is written. */
const slowClients = 2;

/** Writes in this order, some of them in one turn. @returns what was written to each client, and what it got */
async function relayed(writes: readonly Write[], writesPerTurn: number): Promise<[Buffer, Buffer][]> {
  const responses: ServerResponse[] = [];
  const server = createServer((request, response) => {
    responses[Number(request.url!.slice(1))] = response;
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const answers = await Promise.all(
    Array.from({ length: clientCount }, async (_, client) => {
      const request = get({ port, host: '127.0.0.1', path: `/${client}`, agent: false });
      const [answer] = (await once(request, 'response')) as [IncomingMessage];
      const parts: Buffer[] = [];
      const read = (): IncomingMessage => answer.on('data', (part: Buffer) => parts.push(part));
      if (client >= slowClients) read();
      return { answer, parts, read };
    }),
  );
  const frames = responses.map((response) => new AnswerFrames(response));
  const written: Buffer[][] = responses.map(() => []);
  for (const [at, { client, bytes }] of writes.entries()) {
    const chunk = Buffer.alloc(bytes, 1 + ((at * 37) % 251));
    written[client]!.push(Buffer.from(chunk));
    frames[client]!.write(chunk);
    // The caller's buffer is the next chunk's.
    chunk.fill(0);
    if (at % writesPerTurn === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  for (const one of frames) one.end();
  for (const { read } of answers.slice(0, slowClients)) read();
  await Promise.all(answers.map(({ answer }) => once(answer, 'end')));
  server.close();
  return answers.map(({ parts }, client) => [Buffer.concat(written[client]!), Buffer.concat(parts)]);
}

describe('AnswerFrames', () => {
  it('gives each client its own bytes', async () => {
    const bytes = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.constantFrom(1, 15, 16, 4080, 4090, 8192, 70_000));
    const write = fc.record({ client: fc.nat(clientCount - 1), bytes });
    await fc.assert(
      fc.asyncProperty(
        fc.array(write, { minLength: 1, maxLength: 150 }),
        fc.integer({ min: 1, max: 5 }),
        async (writes, perTurn) => {
          for (const [written, got] of await relayed(writes, perTurn)) expect(got.equals(written)).toBe(true);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('keeps the bytes of a client that reads nothing while others go on', async () => {
    const writes = Array.from({ length: 20_000 }, (_, at) => ({ client: at % clientCount, bytes: 1500 + (at % 50) }));
    for (const [written, got] of await relayed(writes, 50)) expect(got.equals(written)).toBe(true);
  });
});
