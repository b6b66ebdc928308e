// Builds the JSON of a chat for an engine's /tokenize, from the client's own text where possible.

import type { JsonText } from './exact-json.ts';
import { isJsonObject, type Json, type JsonObject } from './json-values.ts';
import { dumpJson, plainDump } from './python-text.ts';
import { TemplateWork } from './template-work.ts';
import { type ChatInput, TokenizerError } from './tokenizer.ts';

/** The members of the question, without braces. @throws TokenizerError `chat-beyond-template` */
export function chatQuestion(chat: ChatInput): string {
  const members = [
    `"messages":${withReasoning(chat.messages)}`,
    `"add_generation_prompt":${chat.addGenerationPrompt ?? true}`,
    // The engines' default for chats: templates write special tokens themselves.
    `"add_special_tokens":${chat.addSpecialTokens ?? false}`,
  ];
  if (chat.continueFinalMessage) members.push('"continue_final_message":true');
  const add = (name: string, text: JsonText | null | undefined): void => {
    if (text) members.push(`"${name}":${text.text}`);
  };
  add('tools', chat.tools);
  add('chat_template', chat.chatTemplate);
  add('chat_template_kwargs', chat.chatTemplateKwargs);
  add('mm_processor_kwargs', chat.mmProcessorKwargs);
  return members.join(',');
}

/** vLLM reads `reasoning_content` as `reasoning` in a chat, but not in /tokenize. */
function withReasoning(messages: JsonText): string {
  if (!messages.text.includes('"reasoning_content"')) return messages.text;
  if (!messages.isShort) {
    const message = 'messages with reasoning_content and very many values are not sent to /tokenize';
    throw new TokenizerError('chat-beyond-template', message, 'messages');
  }
  const { value } = messages;
  return Array.isArray(value) ? writeJson((value as readonly Json[]).map(renamed)) : messages.text;
}

function renamed(message: Json): Json {
  if (!isJsonObject(message)) return message;
  const old = message.get('reasoning_content') ?? null;
  if (old === null) return message;
  const members = new Map(message);
  members.delete('reasoning_content');
  return (members.get('reasoning') ?? null) === null ? members.set('reasoning', old) : members;
}

const unlimited = { stepsMax: Number.POSITIVE_INFINITY, charsMax: Number.POSITIVE_INFINITY };

/** Python reads the same values from it; equal values give equal texts. */
export function writeJson(value: Json | JsonObject): string {
  return dumpJson(value, plainDump, new TemplateWork(unlimited));
}
