// Chat templates: their input, their refusals, and the end of the certain part.

import { describe, expect, it } from 'vitest';
import { ChatTemplate } from '../../src/tokens/chat-template.ts';
import { type PlainChat, plainChat } from '../../src/tokens/plain-chat.ts';
import { TokenizerError } from '../../src/tokens/tokenizer.ts';

const joined = new ChatTemplate('{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}', {}, [
  '[user]',
  '[tool]',
]);
const walking = new ChatTemplate(
  "{% for message in messages %}<{{ message['role'] }}>{% for part in message['content'] %}({{ part.text }}){% endfor %}{% endfor %}",
  {},
  ['<user>'],
);

const render = (template: ChatTemplate, chat: PlainChat) => template.render(plainChat(chat));

function refusal(template: ChatTemplate, chat: PlainChat): TokenizerError {
  try {
    render(template, chat);
  } catch (error) {
    if (error instanceof TokenizerError) return error;
    throw error;
  }
  throw new Error('the template took it');
}

describe('content', () => {
  const parts = [
    { type: 'text', text: 'one' },
    { type: 'text', text: 'two' },
  ];

  it('of text parts is joined by newlines, unless the template iterates over the parts', () => {
    const chat = { messages: [{ role: 'user', content: parts }] };
    expect(render(joined, chat)).toEqual({ text: '[user]one\ntwo', exact: true });
    expect(render(walking, chat)).toEqual({ text: '<user>(one)(two)', exact: true });
  });

  it('is trimmed as in Python', () => {
    const trimming = new ChatTemplate(
      '{% for m in messages %}[{{ m.content | trim }}{{ m.content.strip() }}]{% endfor %}',
      {},
      [],
    );
    const contents = ['\u001c a\u001d', '\ufeffa\u001e\n', 'a\u0085', '\u001f', '\u2000\u001ca\u001cb\u2001'];
    const messages = contents.map((content) => ({ role: 'user', content }));
    expect(render(trimming, { messages }).text).toBe('[aa][\ufeffa\ufeffa][aa][][a\u001cba\u001cb]');
    expect(render(joined, { messages }).text).toBe(contents.map((content) => `[user]${content}`).join(''));
    const parts = [{ type: 'text', text: '\u001da ' }];
    expect(render(walking, { messages: [{ role: 'user', content: parts }] }).text).toBe('<user>(\u001da )');
  });

  it('may be absent', () => {
    expect(render(joined, { messages: [{ role: 'user', content: '' }, { role: 'tool' }] }).text).toBe('[user][tool]');
  });

  it.each([joined, walking])('with an image is certain only up to the last added token before it', (template) => {
    const chat = {
      messages: [
        { role: 'user', content: parts },
        { role: 'user', content: [...parts, { type: 'image_url' }] },
      ],
    };
    const { text, exact, ...more } = render(template, chat);
    expect(more).toMatchObject({ otherParts: 1, rest: expect.stringMatching(/one.+two/s) });
    const full = render(template, { messages: [...chat.messages.slice(0, 1), { role: 'user', content: 'x' }] }).text;
    expect(exact).toBe(false);
    expect(full.startsWith(text)).toBe(true);
    expect(text.endsWith(template === joined ? '[user]' : '<user>')).toBe(true);
    expect(text.length).toBeGreaterThan(8);
  });

  it('without an added token before the image is not certain at all', () => {
    const template = new ChatTemplate('{% for m in messages %}{{ m.content }}{% endfor %}', {}, ['<s>']);
    expect(render(template, { messages: [{ role: 'user', content: [{ type: 'audio' }] }] })).toEqual({
      text: '',
      exact: false,
      rest: '',
      otherParts: 1,
    });
  });

  it.each([
    { chatTemplate: '{{ 1 }}' },
    { continueFinalMessage: true },
    { chatTemplateKwargs: { chat_template: '{{ 1 }}' } },
    { chatTemplateKwargs: { continue_final_message: true } },
  ])('that needs more than the template is refused: %j', (more) => {
    const chat = { messages: [{ role: 'user', content: 'x' }], ...more };
    expect(refusal(joined, chat)).toMatchObject({ code: 'chat-beyond-template' });
  });

  it("of another shape is refused with the field's name", () => {
    expect(refusal(joined, { messages: [{ role: 'user', content: 7 }] })).toMatchObject({
      code: 'message-invalid',
      param: 'messages[0].content',
    });
    expect(refusal(joined, { messages: [{ role: 'user', content: '' }, { content: 'x' }] })).toMatchObject({
      code: 'message-invalid',
      param: 'messages[1].role',
    });
  });
});

describe('variables', () => {
  it('of the tokenizer, of the request and of the request alone reach the template', () => {
    const template = new ChatTemplate(
      '{{ bos_token }}{% if tools is not none %}T{{ tools | length }}{% endif %}{% if thinking %}!{% endif %}{% if add_generation_prompt %}>{% endif %}',
      { bos_token: '<s>' },
      [],
    );
    const tool = { type: 'function', function: { name: 'f' } };
    expect(render(template, { messages: [] }).text).toBe('<s>>');
    expect(render(template, { messages: [], addGenerationPrompt: false, tools: [tool, tool] }).text).toBe('<s>T2');
    expect(render(template, { messages: [], chatTemplateKwargs: { thinking: true, bos_token: '' } }).text).toBe('!>');
  });

  it('contain the arguments of tool calls as values', () => {
    const template = new ChatTemplate('{{ messages[0].tool_calls[0].function.arguments.city }}', {}, []);
    const call = (text: string): PlainChat => ({
      messages: [
        { role: 'assistant', tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: text } }] },
      ],
    });
    expect(render(template, call('{"city":"Ulm"}')).text).toBe('Ulm');
    expect(render(template, call('')).text).toBe('');
    // As in vLLM, so that one malformed call does not end a conversation.
    for (const text of ['{', '[1]', '7']) expect(render(template, call(text)).text).toBe('');
  });
});

describe('errors', () => {
  it('of a template that does not parse are found when it is created', () => {
    expect(() => new ChatTemplate('{% for %}', {}, [])).toThrow(
      expect.objectContaining({ code: 'chat-template-invalid' }),
    );
  });

  it('that a template raises keep their message', () => {
    const template = new ChatTemplate("{{ raise_exception('roles must alternate') }}", {}, []);
    const error = refusal(template, { messages: [] });
    expect(error).toMatchObject({ code: 'chat-template-refused', param: 'messages' });
    expect(error.message).toContain('roles must alternate');
  });
});
