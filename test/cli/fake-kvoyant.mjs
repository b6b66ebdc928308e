// Stands in for the kvoyant program in tests of the demonstration: engines that only count, a gateway that answers at once.
// FAKE_FAULT makes it misbehave: refuse (every fourth request), leak (loads stay), lie (wrong counters), crash (engines),
// mute (engines never get ready), slow (engines' steps end late).

import { createServer } from 'node:http';

const fault = process.env.FAKE_FAULT ?? '';
const [command, ...args] = process.argv.slice(2);
const values = (flag) => args.flatMap((arg, at) => (arg === flag ? [args[at + 1]] : []));

function serve(answer, port, say) {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => {
      body += part;
    });
    request.on('end', () => answer(request.url, body, response));
  });
  server.listen(port, '127.0.0.1', () => say(`http://127.0.0.1:${server.address().port}`));
}

if (command === 'sim-worker') {
  if (fault === 'crash') setTimeout(() => process.exit(7), 1500);
  for (let i = 0; i < Number(values('--count')[0]); i++) {
    const tokens = { computed: 0, cached: 0 };
    const answer = (_url, body, response) => {
      if (body !== '') tokens[JSON.parse(body).kind]++;
      const line = (source, count) => `vllm:prompt_tokens_by_source_total{source="${source}"} ${count}\n`;
      const steps = tokens.computed + tokens.cached;
      const lateS = fault === 'slow' ? 0.02 * steps : 0;
      response.end(
        line('local_compute', tokens.computed) +
          line('local_cache_hit', tokens.cached) +
          `kvoyant_sim:steps_total ${steps}\nkvoyant_sim:busy_seconds_total ${steps}\n` +
          `kvoyant_sim:steps_late_seconds_total ${lateS}\n`,
      );
    };
    serve(answer, 0, (url) => fault === 'mute' || console.log(`engine ${i} listening on ${url}`));
  }
} else {
  const engines = values('--worker');
  let served = 0;
  const json = (response, body) => response.end(JSON.stringify(body));
  const answer = async (url, body, response) => {
    const load = { activeBlocks: 0, activePrefillTokens: 0, runningRequests: fault === 'leak' ? 1 : 0 };
    if (url === '/workers') return json(response, { workers: engines.map((one) => ({ url: one, state: 'ready' })) });
    if (url === '/loads') return json(response, { workers: engines.map((id) => ({ id, rank: 0, ...load })) });
    if (url === '/v1/models') return json(response, { data: [{ id: 'fake' }] });
    if (url === '/served') return response.end(String(served));
    const turn = served++;
    if (fault === 'crash') return undefined;
    if (fault === 'refuse' && turn % 4 === 3) {
      response.writeHead(503);
      return json(response, { error: { message: 'no worker is ready' } });
    }
    // Of two prompt tokens one is cached, and both are counted by the engine whose turn it is.
    for (const kind of fault === 'lie' ? ['computed'] : ['computed', 'cached']) {
      await fetch(engines[turn % engines.length], { method: 'POST', body: JSON.stringify({ kind }) });
    }
    const { max_tokens: maxTokens } = JSON.parse(body);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const event = (data) => response.write(`data: ${JSON.stringify(data)}\n\n`);
    for (let i = 0; i < maxTokens; i++) event({ choices: [{ index: 0, text: ' a', finish_reason: null }] });
    const usage = { prompt_tokens: 2, completion_tokens: maxTokens, prompt_tokens_details: { cached_tokens: 1 } };
    event({ choices: [], usage });
    return response.end('data: [DONE]\n\n');
  };
  serve(answer, Number(values('--port')[0]), (url) =>
    console.log(`kvoyant for operators at ${url}\nkvoyant listening on ${url}`),
  );
}
