// A simulated engine that is asked to go on with an answer, without sampling: the same words follow.

import { expect, it } from 'vitest';
import { post, startOne } from './fleet.ts';

const common = { temperature: 0, max_tokens: 40 };

interface Said {
  readonly text: string;
  readonly finish: string;
  readonly promptTokens: number;
}

async function say(url: string, path: string, body: object): Promise<Said> {
  const response = await post(`${url}/v1/${path}`, { ...common, ...body });
  const { choices, usage } = (await response.json()) as {
    readonly choices: readonly [
      { readonly text?: string; readonly message?: { readonly content: string }; readonly finish_reason: string },
    ];
    readonly usage: { readonly prompt_tokens: number };
  };
  const [{ text, message, finish_reason: finish }] = choices;
  return { text: text ?? message!.content, finish, promptTokens: usage.prompt_tokens };
}

/** The first words of a text, each with the blank before it. */
const wordsOf = (text: string, count: number): string => text.split(/(?= )/).slice(0, count).join('');

it.each([1, 7, 39])('goes on with the same words after %i of them, at another engine', async (count) => {
  const [one, other] = [await startOne({ tokenizer: 'builtin' }), await startOne({ tokenizer: 'builtin', seed: 0 })];
  const whole = await say(one, 'completions', { prompt: 'Once', ignore_eos: true });
  const begun = wordsOf(whole.text, count);
  const rest = { max_tokens: 40 - count, ignore_eos: true };
  expect(begun + (await say(other, 'completions', { prompt: `Once${begun}`, ...rest })).text).toBe(whole.text);

  const messages = [{ role: 'user', content: 'Hello' }];
  const chat = await say(one, 'chat/completions', { messages, ignore_eos: true });
  const said = wordsOf(chat.text, count);
  const continued = await say(other, 'chat/completions', {
    messages: [...messages, { role: 'assistant', content: said }],
    ...{ continue_final_message: true, add_generation_prompt: false, ...rest },
  });
  expect(said + continued.text).toBe(chat.text);
  expect(continued.promptTokens).toBe(chat.promptTokens + count);
});

it('ends where an undisturbed answer ends', async () => {
  const url = await startOne({ tokenizer: 'builtin' });
  const whole = await say(url, 'completions', { prompt: 'Once', max_tokens: 2000 });
  expect(whole.finish).toBe('stop');
  const begun = wordsOf(whole.text, 3);
  expect(await say(url, 'completions', { prompt: `Once${begun}`, max_tokens: 2000 })).toMatchObject({
    text: whole.text.slice(begun.length),
    finish: 'stop',
  });
});

it.each([
  ['with a prompt for a new message', { continue_final_message: true }],
  ['without a message of the assistant', { continue_final_message: true, add_generation_prompt: false }],
])('refuses to go on %s', async (_, fields) => {
  const url = await startOne({ tokenizer: 'builtin' });
  const messages = [{ role: 'user', content: 'Hello' }];
  expect((await post(`${url}/v1/chat/completions`, { ...common, messages, ...fields })).status).toBe(400);
});

it('counts the tokens of a chat that goes on', async () => {
  const url = await startOne({ tokenizer: 'builtin' });
  const count = async (body: object): Promise<number> =>
    ((await (await post(`${url}/tokenize`, body)).json()) as { readonly count: number }).count;
  const messages = [{ role: 'user', content: 'Hello' }];
  const begun = [...messages, { role: 'assistant', content: 'one two' }];
  const going = { messages: begun, continue_final_message: true, add_generation_prompt: false };
  expect(await count(going)).toBe((await count({ messages })) + 2);
});
