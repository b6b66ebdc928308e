// Minimal proxy built with the routing library: token-id prompts, engines without KV events.

import http from 'node:http';
import { BlockHasher, createPolicy, Router } from 'kvoyant';

const [port, ...engines] = process.argv.slice(2);
const hasher = new BlockHasher();
const router = new Router({ policy: createPolicy('foresee'), seed: 1, hasher });
for (const id of engines) router.addWorker({ id, blockSize: 16, capacityBlocks: 8192, source: 'approximate' });

const server = http.createServer(async (request, response) => {
  const body = Buffer.concat(await request.toArray());
  const { prompt, max_tokens: maxOutputTokens = 16 } = JSON.parse(body);
  const prompts = [{ isl: prompt.length, hashes: [hasher.hash(Uint32Array.from(prompt), 16)] }];
  const routed = router.route({ prompts, wholeAnswer: true, maxOutputTokens }, performance.now()); // chosen and booked
  if (routed.kind === 'refused') return response.writeHead(503).end(routed.reason);
  let outcome = 'failed';
  try {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(engines[routed.decision.worker] + request.url, { method: 'POST', headers, body });
    response.writeHead(answer.status, headers).end(Buffer.from(await answer.arrayBuffer()));
    outcome = 'done';
  } catch {
    response.writeHead(502).end();
  } finally {
    for (const booking of routed.bookings) router.release(booking, outcome, performance.now());
  }
});
server.listen(Number(port), '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
