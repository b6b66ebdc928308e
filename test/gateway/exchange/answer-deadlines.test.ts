import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, it } from 'vitest';
import { AnswerDeadlines } from '../../../src/gateway/exchange/answer-deadlines.ts';
import { Exchange } from '../../../src/gateway/exchange/exchange.ts';

it('disconnects a client that does not read the rest of a complete answer', async () => {
  const limits: string[] = [];
  const deadlines = new AnswerDeadlines(
    () => ({ totalMsMax: 60_000, streamIdleMsMax: 300 }),
    (limit) => limits.push(limit),
  );
  // More than the system's buffers hold.
  const answer = Buffer.alloc(64 * 1024 * 1024);
  const server = createServer((request, response) => {
    deadlines.watch(new Exchange(request, response));
    response.end(request.url === '/small' ? 'small' : answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const open = (path: string) => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
    return socket;
  };
  const reader = open('/small');
  await once(reader, 'data');
  const silent = open('/large').pause();
  const accepted = once(server, 'connection');
  const [connection] = (await accepted) as [NodeJS.EventEmitter];
  await once(connection, 'close');
  // The client that has read its answer stays connected.
  expect(limits).toEqual(['streamIdleMsMax']);
  expect(reader.readableEnded).toBe(false);
  for (const socket of [reader, silent]) socket.destroy();
  deadlines.close();
  server.close();
});
