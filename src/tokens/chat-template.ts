// Renders chat messages through a Jinja chat template, prepared as in vLLM.

import type { JsonText } from './exact-json.ts';
import { JinjaTemplate } from './jinja-template.ts';
import { TemplateRefusal } from './jinja-values.ts';
import { isJsonObject, type Json, JsonError, type JsonObject } from './json-values.ts';
import { NotRendered } from './python-text.ts';
import { type TemplateLimits, TemplateOverrun, templateLimits } from './template-work.ts';
import { type ChatInput, type RenderedChat, TokenizerError } from './tokenizer.ts';
import { partMarker, prepareMessages, type TemplateTraits } from './vllm-messages.ts';
import { prepareTools } from './vllm-tools.ts';

export class ChatTemplate {
  readonly #template: JinjaTemplate;
  readonly #variables: Readonly<Record<string, unknown>>;
  readonly #addedTokens: readonly string[];
  readonly #traits: TemplateTraits;

  /**
   * @param source Jinja text
   * @param variables from the tokenizer's configuration, such as `bos_token`
   * @param addedTokens texts of the added tokens: a text may be cut after any of them
   * @throws TokenizerError `chat-template-invalid`
   */
  constructor(source: string, variables: Readonly<Record<string, unknown>>, addedTokens: readonly string[]) {
    try {
      this.#template = new JinjaTemplate(source);
    } catch (error) {
      throw new TokenizerError('chat-template-invalid', `the chat template does not parse: ${messageOf(error)}`);
    }
    this.#variables = variables;
    this.#addedTokens = addedTokens;
    this.#traits = { takesParts: partsLoop.test(source), knowsDeveloper: /"developer"|'developer'/.test(source) };
  }

  /** @throws TokenizerError `chat-beyond-template`, `message-invalid`, `chat-template-refused` or `chat-template-overrun` */
  render(chat: ChatInput, limits: TemplateLimits = templateLimits): RenderedChat {
    const kwargs = objectOf(chat.chatTemplateKwargs, 'chat_template_kwargs');
    const beyond = beyondTemplate(chat, kwargs);
    if (beyond !== null) {
      throw new TokenizerError('chat-beyond-template', `${beyond} is not supported by this chat template`, beyond);
    }
    const { messages, otherParts } = prepareMessages(readJson(chat.messages, 'messages'), this.#traits);
    const variables = new Map<string, unknown>([
      ...Object.entries(this.#variables),
      // Templates test "is not none", so an absent value must be None, not undefined.
      ['documents', null],
      ...kwargs,
      ['tools', prepareTools(chat.tools ? readJson(chat.tools, 'tools') : null)],
      ['add_generation_prompt', chat.addGenerationPrompt ?? true],
      ['messages', messages],
    ]);
    const text = this.#run(variables, limits);
    if (otherParts === 0) return { text, exact: true };
    const certain = this.#certainPart(text);
    return { text: certain, exact: false, rest: text.slice(certain.length).replace(partMarker, ''), otherParts };
  }

  #run(variables: ReadonlyMap<string, unknown>, limits: TemplateLimits): string {
    try {
      return this.#template.render(variables, limits);
    } catch (error) {
      if (error instanceof TemplateOverrun) {
        throw new TokenizerError('chat-template-overrun', error.message, 'messages');
      }
      if (error instanceof NotRendered) {
        const message = `the chat template uses an unsupported feature with these messages: ${error.message}`;
        throw new TokenizerError('chat-beyond-template', message, 'messages');
      }
      if (!(error instanceof TemplateRefusal)) throw error;
      const message = `the chat template refuses these messages: ${error.message}`;
      throw new TokenizerError('chat-template-refused', message, 'messages');
    }
  }

  /** The text before the marker, up to the last added token: tokens do not merge across it. */
  #certainPart(text: string): string {
    const before = text.slice(0, Math.max(0, text.indexOf(partMarker)));
    let end = 0;
    for (const token of this.#addedTokens) {
      const at = before.lastIndexOf(token);
      if (at !== -1) end = Math.max(end, at + token.length);
    }
    return before.slice(0, end);
  }
}

/** `{% for part in message.content %}` or `... in content %}`, with either form of member access. */
const partsLoop = /\{%-?\s*for\s+\w+\s+in\s+(?:(?:[\w.]+\.)?content\b|\w+\[\s*['"]content['"]\s*\])/;

/** Arguments that the engine's code takes or refuses itself, rather than the template. */
const kwargsBeyond: readonly string[] = [
  'chat_template',
  'continue_final_message',
  'conversation',
  'max_length',
  'padding',
  'return_assistant_tokens_mask',
  'return_dict',
  'return_tensors',
  'tokenize',
  'tokenizer_kwargs',
  'tools',
  'truncation',
];

/**
 * The field that asks for more than this template can do, or null. A client's own template is never run here: it could
 * loop for ever.
 */
function beyondTemplate({ chatTemplate, continueFinalMessage }: ChatInput, kwargs: JsonObject): string | null {
  if ((chatTemplate ?? null) !== null) return 'chat_template';
  if (continueFinalMessage) return 'continue_final_message';
  return kwargsBeyond.find((name) => (kwargs.get(name) ?? null) !== null) ?? null;
}

const noMembers: JsonObject = new Map();

function objectOf(text: JsonText | null | undefined, field: string): JsonObject {
  const value = text ? readJson(text, field) : null;
  return isJsonObject(value) ? value : noMembers;
}

function readJson(text: JsonText, field: string): Json {
  try {
    return text.value;
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new TokenizerError('message-invalid', `${field}: ${error.message}`, field);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
