// Chats with tools, calls, developers, parts, unusual numbers and member orders are rendered like vLLM 0.32.0.
// Recorded by scripts/record-vllm-chats.py.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type InferenceRequest, readInferenceRequest } from '../../src/gateway/inference/request-intake.ts';
import { ChatTemplate } from '../../src/tokens/chat-template.ts';
import { TokenizerError } from '../../src/tokens/tokenizer.ts';

interface Case {
  readonly body: string;
  /** By template; absent if vLLM refuses. */
  readonly texts: Readonly<Record<string, string>>;
}

const cases = JSON.parse(
  readFileSync(join(import.meta.dirname, '..', 'golden', 'vllm-chats.json'), 'utf8'),
) as readonly Case[];
const templates = ['vllm-templates', 'chat-templates'].flatMap((folder) =>
  readdirSync(join(import.meta.dirname, folder)).map((file): [string, string] => [
    file.replace('.jinja', ''),
    readFileSync(join(import.meta.dirname, folder, file), 'utf8'),
  ]),
);

it.each(templates)('%s writes of every chat what vLLM writes', (name, source) => {
  const template = new ChatTemplate(source, { bos_token: '<s>', eos_token: '</s>' }, []);
  let compared = 0;
  for (const { body, texts } of cases) {
    const expected = texts[name];
    if (expected === undefined) continue;
    const { prompts } = readInferenceRequest('chat', Buffer.from(body), fail) as InferenceRequest;
    const [prompt] = prompts;
    if (prompt?.kind !== 'chat') throw new Error('no chat');
    try {
      expect(template.render(prompt.chat).text, body).toBe(expected);
      compared++;
    } catch (error) {
      // Unknown cases are sent to the engine; these must stay rare.
      if (!(error instanceof TokenizerError)) throw error;
    }
  }
  const rendered = cases.filter(({ texts }) => texts[name] !== undefined).length;
  expect(rendered).toBeGreaterThan(10);
  expect(compared).toBe(rendered);
});

function fail(): never {
  throw new Error('a body as short as this is read at once');
}
