// Renders chat messages through a Jinja chat template, prepared the way vLLM prepares them.
import { Template } from '@huggingface/jinja';
import { StripAlike } from './strip-alike.ts';
import { type ChatInput, type ChatMessage, type RenderedChat, TokenizerError } from './tokenizer.ts';

/** Stands at the start of the first message that has a part other than text; no template trims or escapes it. */
const marker = '\u{f0000}opaque\u{f0000}';

export class ChatTemplate {
  readonly #template: Template;
  readonly #variables: Readonly<Record<string, unknown>>;
  readonly #addedTokens: readonly string[];
  /** Whether the template walks over content parts itself; else they come as one string. */
  readonly #takesParts: boolean;

  /**
   * @param source Jinja text
   * @param variables what the tokenizer's configuration offers every template: `bos_token` and the like
   * @param addedTokens texts of the added tokens: behind any of them a text may be cut
   * @throws TokenizerError `chat-template-invalid`
   */
  constructor(source: string, variables: Readonly<Record<string, unknown>>, addedTokens: readonly string[]) {
    try {
      this.#template = new Template(source);
    } catch (error) {
      throw new TokenizerError('chat-template-invalid', `the chat template does not parse: ${messageOf(error)}`);
    }
    this.#variables = variables;
    this.#addedTokens = addedTokens;
    this.#takesParts = partsLoop.test(source);
  }

  /** @throws TokenizerError `chat-beyond-template`, `message-invalid` or `chat-template-refused` */
  render(chat: ChatInput): RenderedChat {
    const beyond = beyondTemplate(chat);
    if (beyond !== null) {
      throw new TokenizerError('chat-beyond-template', `${beyond} is not for this chat template to do`, beyond);
    }
    const prepared = this.#prepare(chat.messages);
    let text: string;
    const alike = StripAlike.for(prepared.messages);
    try {
      text = this.#template.render({
        ...this.#variables,
        // Templates ask "is not none", so what is absent must be null, not undefined.
        tools: chat.tools ?? null,
        documents: null,
        add_generation_prompt: chat.addGenerationPrompt ?? true,
        ...chat.chatTemplateKwargs,
        messages: alike?.disguise(prepared.messages) ?? prepared.messages,
      });
      if (alike !== null) text = alike.reveal(text);
    } catch (error) {
      const message = `the chat template refuses these messages: ${messageOf(error)}`;
      throw new TokenizerError('chat-template-refused', message, 'messages');
    }
    const { otherParts } = prepared;
    if (otherParts === 0) return { text, exact: true };
    const certain = this.#certainPart(text);
    return { text: certain, exact: false, rest: text.slice(certain.length).replace(marker, ''), otherParts };
  }

  /** What stands before the marker, up to the last added token: tokens do not merge across that. */
  #certainPart(text: string): string {
    const before = text.slice(0, Math.max(0, text.indexOf(marker)));
    let end = 0;
    for (const token of this.#addedTokens) {
      const at = before.lastIndexOf(token);
      if (at !== -1) end = Math.max(end, at + token.length);
    }
    return before.slice(0, end);
  }

  #prepare(messages: readonly ChatMessage[]): { messages: ChatMessage[]; otherParts: number } {
    let otherParts = 0;
    const prepared = messages.map((message, index) => {
      const field = `messages[${index}]`;
      const { texts, others } = contentTexts(message, field);
      if (others > 0 && otherParts === 0) texts.unshift(marker);
      otherParts += others;
      return { ...message, content: this.#content(texts), ...toolCalls(message, field) };
    });
    return { messages: prepared, otherParts };
  }

  /** As in vLLM, every message has content, and a string is one part where the template takes parts. */
  #content(texts: readonly string[]): unknown {
    return this.#takesParts ? texts.map((text) => ({ type: 'text', text })) : texts.join('\n');
  }
}

/** `{% for part in message.content %}` or `... in content %}`, with either form of member access. */
const partsLoop = /\{%-?\s*for\s+\w+\s+in\s+(?:(?:[\w.]+\.)?content\b|\w+\[\s*['"]content['"]\s*\])/;

/**
 * The field that asks for more than the template, or null. A client's own template is not run here: it could be made
 * to run for ever.
 */
function beyondTemplate({ chatTemplate, continueFinalMessage, chatTemplateKwargs }: ChatInput): string | null {
  if ((chatTemplate ?? chatTemplateKwargs?.['chat_template'] ?? null) !== null) return 'chat_template';
  return continueFinalMessage || chatTemplateKwargs?.['continue_final_message'] ? 'continue_final_message' : null;
}

/** The text parts of a message, and the number of its other ones. */
function contentTexts(message: ChatMessage, field: string): { texts: string[]; others: number } {
  if (typeof message !== 'object' || message === null || typeof message.role !== 'string') {
    throw new TokenizerError('message-invalid', `${field} must be an object with a role`, `${field}.role`);
  }
  const content = message.content;
  if (content === undefined || content === null) return { texts: [], others: 0 };
  if (typeof content === 'string') return { texts: [content], others: 0 };
  if (!Array.isArray(content)) {
    const expected = `${field}.content must be a string, null or a list of parts`;
    throw new TokenizerError('message-invalid', expected, `${field}.content`);
  }
  const texts: string[] = [];
  let others = 0;
  for (const part of content as readonly unknown[]) {
    const text = partText(part);
    if (text === undefined) others++;
    else texts.push(text);
  }
  return { texts, others };
}

/** The text of a content part; undefined for any other kind of part. */
function partText(part: unknown): string | undefined {
  if (typeof part === 'string') return part;
  if (typeof part !== 'object' || part === null) return undefined;
  const { type, text } = part as { type?: unknown; text?: unknown };
  return type === 'text' && typeof text === 'string' ? text : undefined;
}

/** Clients send the arguments of a call as JSON text, templates want the value. */
function toolCalls(message: ChatMessage, field: string): { tool_calls?: unknown } {
  const calls = message.tool_calls;
  if (message.role !== 'assistant' || !Array.isArray(calls)) return {};
  return {
    tool_calls: calls.map((call: unknown, index) => {
      const { function: called } = (call ?? {}) as { function?: { arguments?: unknown } };
      if (typeof called?.arguments !== 'string') return call;
      const at = `${field}.tool_calls[${index}].function.arguments`;
      return { ...(call as object), function: { ...called, arguments: parseArguments(called.arguments, at) } };
    }),
  };
}

function parseArguments(text: string, field: string): unknown {
  if (text === '') return {};
  try {
    return JSON.parse(text);
  } catch {
    throw new TokenizerError('message-invalid', `${field} is not JSON`, field);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
