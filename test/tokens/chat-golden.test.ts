// Chat templates compared with the output of Python's Jinja, set up as in transformers, for the same chats.
// Recorded by scripts/record-chat-templates.py.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ChatTemplate } from '../../src/tokens/chat-template.ts';
import { loadTokenizer } from '../../src/tokens/load-tokenizer.ts';
import { type PlainChat, plainChat } from '../../src/tokens/plain-chat.ts';
import type { ChatInput, RenderedChat } from '../../src/tokens/tokenizer.ts';
import { modelFolder, Oracle } from './hugging-face-oracle.ts';

interface Outcome {
  readonly name: string;
  readonly text?: string;
  readonly refused?: string;
}

const golden = join(import.meta.dirname, '..', 'golden');
const readGolden = (name: string): unknown => JSON.parse(readFileSync(join(golden, `chat-${name}.json`), 'utf8'));
const cases = readGolden('cases') as (PlainChat & { readonly name: string })[];

function outcomesOf(render: (chat: ChatInput) => RenderedChat): Outcome[] {
  return cases.map(({ name, ...chat }) => {
    try {
      return { name, text: render(plainChat(chat)).text };
    } catch (error) {
      expect(error).toMatchObject({ code: 'chat-template-refused' });
      return { name, refused: (error as Error).message.replace(/^the chat template refuses these messages: /, '') };
    }
  });
}

it.each(['llama-3.1-style', 'qwen-3-style', 'mistral-style'])('%s renders as in Python', (name) => {
  const source = readFileSync(join(import.meta.dirname, 'chat-templates', `${name}.jinja`), 'utf8');
  const template = new ChatTemplate(source, { bos_token: '<s>', eos_token: '</s>' }, []);
  expect(outcomesOf((chat) => template.render(chat))).toEqual(readGolden(name));
});

describe.each(['llama3_1', 'qwen2_5'] as const)('the model %s', (name) => {
  it('renders as in Python, and gives the ids of that text', async () => {
    const tokenizer = await loadTokenizer(modelFolder(name), { imagesPath: null });
    expect(outcomesOf((chat) => tokenizer.renderChat(chat))).toEqual(readGolden(name));
    const oracle = Oracle.fromFile(join(modelFolder(name), 'tokenizer.json'));
    for (const [index, { text }] of (readGolden(name) as Outcome[]).entries()) {
      if (text === undefined) continue;
      const theirs = await oracle.encode(text, null, { addSpecialTokens: false });
      const { ids, exact } = await tokenizer.encodeChat(plainChat(cases[index]!));
      expect(exact).toBe(true);
      expect(Array.from(ids)).toEqual(theirs.getIds());
    }
    await tokenizer.close();
  });
});
