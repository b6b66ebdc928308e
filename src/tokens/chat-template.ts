// Renders chat messages through a Jinja chat template, prepared the way vLLM prepares them.
import { Template } from '@huggingface/jinja';
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

  /** @throws TokenizerError `message-invalid` or `chat-template-refused` */
  render(chat: ChatInput): RenderedChat {
    const prepared = this.#prepare(chat.messages);
    let text: string;
    try {
      text = this.#template.render({
        ...this.#variables,
        // Templates ask "is not none", so what is absent must be null, not undefined.
        tools: chat.tools ?? null,
        documents: null,
        add_generation_prompt: chat.addGenerationPrompt ?? true,
        ...chat.chatTemplateKwargs,
        messages: prepared.messages,
      });
    } catch (error) {
      const message = `the chat template refuses these messages: ${messageOf(error)}`;
      throw new TokenizerError('chat-template-refused', message, 'messages');
    }
    return prepared.exact ? { text, exact: true } : { text: this.#certainPart(text), exact: false };
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

  #prepare(messages: readonly ChatMessage[]): { messages: ChatMessage[]; exact: boolean } {
    let exact = true;
    const prepared = messages.map((message, index) => {
      const field = `messages[${index}]`;
      const { texts, opaque } = contentTexts(message, field);
      if (opaque && exact) {
        exact = false;
        texts.unshift(marker);
      }
      return { ...message, content: this.#content(texts), ...toolCalls(message, field) };
    });
    return { messages: prepared, exact };
  }

  /** As in vLLM, every message has content, and a string is one part where the template takes parts. */
  #content(texts: readonly string[]): unknown {
    return this.#takesParts ? texts.map((text) => ({ type: 'text', text })) : texts.join('\n');
  }
}

/** `{% for part in message.content %}` or `... in content %}`, with either form of member access. */
const partsLoop = /\{%-?\s*for\s+\w+\s+in\s+(?:(?:[\w.]+\.)?content\b|\w+\[\s*['"]content['"]\s*\])/;

/** The text parts of a message, and whether it has other ones. */
function contentTexts(message: ChatMessage, field: string): { texts: string[]; opaque: boolean } {
  if (typeof message !== 'object' || message === null || typeof message.role !== 'string') {
    throw new TokenizerError('message-invalid', `${field} must be an object with a role`, `${field}.role`);
  }
  const content = message.content;
  if (content === undefined || content === null) return { texts: [], opaque: false };
  if (typeof content === 'string') return { texts: [content], opaque: false };
  if (!Array.isArray(content)) {
    const expected = `${field}.content must be a string, null or a list of parts`;
    throw new TokenizerError('message-invalid', expected, `${field}.content`);
  }
  const texts: string[] = [];
  let opaque = false;
  for (const part of content as readonly unknown[]) {
    const text = partText(part);
    if (text === undefined) opaque = true;
    else texts.push(text);
  }
  return { texts, opaque };
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
