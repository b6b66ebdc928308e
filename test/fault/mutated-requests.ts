// Malformed HTTP requests, generated from a seed.

import type { Random } from '../../src/core/index.ts';

const prompt = '{"model":"scripted","prompt":[1,2,3],"stream":true,"max_tokens":2}';

/** A path that must never reach an engine: it occurs only after the end of a request. */
const smuggledPath = '/v1/smuggled';
const smuggled = `GET ${smuggledPath} HTTP/1.1\r\nhost: x\r\n\r\n`;

function request(headers: readonly string[], body: string | Buffer, line = 'POST /v1/completions HTTP/1.1'): Buffer {
  return Buffer.concat([Buffer.from(`${[line, 'host: x', ...headers].join('\r\n')}\r\n\r\n`), Buffer.from(body)]);
}

const chunked = 'transfer-encoding: chunked';
const lengthOf = (body: string | Buffer): string => `content-length: ${Buffer.byteLength(body)}`;
const sized = (body: string | Buffer, line?: string): Buffer => request([lengthOf(body)], body, line);

const ways: readonly ((random: Random) => Buffer)[] = [
  // Two lengths, or a length and chunks: the end of the request is ambiguous.
  () => request([lengthOf(prompt), chunked], `0\r\n\r\n${smuggled}`),
  () => request([chunked, lengthOf(prompt)], `0\r\n\r\n${smuggled}`),
  () => request(['content-length: 5', lengthOf(prompt)], `${prompt}${smuggled}`),
  () => request([`content-length: ${prompt.length}, 5`], `${prompt}${smuggled}`),
  () => request([`content-length : ${prompt.length}`], `${prompt}${smuggled}`),
  () => request(['transfer-encoding: xchunked'], `0\r\n\r\n${smuggled}`),
  () => request(['transfer-encoding:\u000bchunked', 'content-length: 4'], `0\r\n\r\n${smuggled}`),
  () => request(['transfer-encoding: chunked, identity'], `0\r\n\r\n${smuggled}`),
  () => request([`content-length: +${prompt.length}`], `${prompt}${smuggled}`),
  () => request(['content-length: -1'], prompt),
  () => request(['content-length: 99999999999999999999'], prompt),
  () => request(['content-length: 0x10'], prompt),
  // Malformed chunks.
  () => request([chunked], 'zz\r\nhello\r\n0\r\n\r\n'),
  () => request([chunked], `-1\r\n${prompt}\r\n0\r\n\r\n`),
  () => request([chunked], `ffffffffffffffff\r\n${prompt}`),
  () => request([chunked], `5;${'x'.repeat(100_000)}\r\nhello\r\n0\r\n\r\n`),
  () => request([chunked], `5\nhello\n0\n\n${smuggled}`),
  () => request([chunked], `3\r\nhello\r\n0\r\n\r\n${smuggled}`),
  // Headers that are too large, too many, or malformed.
  (random) => sized(prompt, `POST /v1/completions?${'a'.repeat(random.below(100_000))} HTTP/1.1`),
  (random) => request([`x-large: ${'b'.repeat(random.below(200_000))}`, lengthOf(prompt)], prompt),
  (random) => request([...Array.from({ length: random.below(5000) }, (_, i) => `x-${i}: 1`), lengthOf(prompt)], prompt),
  () => request(['x-line: a\r\n b', lengthOf(prompt)], prompt),
  () => request(['x-null: a\u0000b', lengthOf(prompt)], prompt),
  () => request([`x-request-id: a\rb\nc`, lengthOf(prompt)], prompt),
  () => sized(prompt, 'POST /v1/completions HTTP/9.9'),
  () => sized(prompt, 'POST  /v1/completions'),
  () => sized(prompt, `POST http://evil.example${smuggledPath} HTTP/1.1`),
  () => sized(prompt, 'POST /v1/../v1/%2e%2e/smuggled HTTP/1.1'),
  () => sized(prompt, 'PRI * HTTP/2.0'),
  () => request(['upgrade: websocket', 'connection: upgrade', lengthOf(prompt)], prompt),
  () => request(['connection: content-length', lengthOf(prompt)], prompt),
  // Bodies without a valid prompt.
  () =>
    sized(
      Buffer.concat([
        Buffer.from('{"model":"scripted","prompt":"'),
        Buffer.from([0xc3, 0x28, 0xff]),
        Buffer.from('"}'),
      ]),
    ),
  () => sized('['.repeat(200_000)),
  () => sized(`{"model":"scripted","prompt":${'['.repeat(50_000)}${']'.repeat(50_000)}}`),
  () => sized(`{"a":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)},"model":"scripted","prompt":"x"}`),
  () => sized('{"model":"scripted","prompt":[1e999,-1,2.5,null]}'),
  () => sized('{"model":"scripted","prompt":"x","n":-5,"max_tokens":1e308}'),
  () => sized('{"model":"scripted","__proto__":{"prompt":"x"},"constructor":1}'),
  () => sized('{"model":{"toString":1},"prompt":"x"}'),
  () => sized(`{"model":"scripted","prompt":"${'\\ud800'.repeat(1000)}"}`),
  () => sized(''),
  () => sized('null'),
  // A truncated body; the client leaves.
  (random) => request([lengthOf(prompt)], prompt.slice(0, random.below(prompt.length))),
  () => request([chunked], `${prompt.length.toString(16)}\r\n${prompt.slice(0, 10)}`),
];

/** One of the forms, often with some bytes changed, removed or doubled. */
export function mutatedRequest(random: Random): Buffer {
  const bytes = ways[random.below(ways.length)]!(random);
  // With a changed byte it might be two valid requests.
  const changes = bytes.includes(smuggledPath) ? 0 : random.below(4);
  let mutated = bytes;
  for (let i = 0; i < changes; i++) {
    const at = random.below(mutated.length);
    switch (random.below(3)) {
      case 0:
        mutated = Buffer.from(mutated);
        mutated[at] = random.below(256);
        break;
      case 1:
        mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(at + 1)]);
        break;
      default:
        mutated = Buffer.concat([mutated.subarray(0, at), mutated.subarray(Math.max(0, at - 8))]);
    }
  }
  return mutated;
}
