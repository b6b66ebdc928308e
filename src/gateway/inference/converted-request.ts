// Reads the prompt of a request of the responses or messages API: as the chat that engines make of it, where that is
// known, else as it was written.

import { chatFacts } from '../../tokens/chat-facts.ts';
import { compactJson } from '../../tokens/compact-json.ts';
import { type ConvertedChat, NotConverted } from '../../tokens/converted-chat.ts';
import { JsonText } from '../../tokens/exact-json.ts';
import { isJsonObject, type Json, JsonError, type JsonObject } from '../../tokens/json-values.ts';
import { chatOfMessages } from '../../tokens/vllm-anthropic.ts';
import { chatOfResponses, hasBuiltinTools } from '../../tokens/vllm-responses.ts';
import { responseIdLengthMax } from '../../wire/answer-dialect.ts';
import type { ChatPrompt, PromptInput } from '../prompts/prompt-input.ts';
import { invalid, type RequestFields } from './request-fields.ts';

export interface ConvertedRequest {
  readonly prompt: PromptInput;
  /** Id of the response that it continues; null: it continues none. */
  readonly previousResponse: string | null;
  /** The engine may call tools by itself. */
  readonly usesTools: boolean;
}

/** A longer body, or one of more values, is known by its bytes: a chat is made and written anew in one go. */
const convertedBytesMax = 2 * 1024 * 1024;
const convertedValuesMax = 20_000;

export function readResponses(fields: RequestFields): ConvertedRequest {
  const tools = fields.value('tools');
  const common = { usesTools: hasBuiltinTools(tools) };
  const previousResponse = fields.text('previous_response_id');
  if (previousResponse !== null) {
    if (previousResponse.length > responseIdLengthMax) {
      const message = `previous_response_id is longer than ${responseIdLengthMax} characters`;
      throw invalid('previous_response_id', message);
    }
    return { prompt: { kind: 'continuation', bytes: fields.bytes }, previousResponse, ...common };
  }
  const reasoning = fields.value('reasoning');
  const effort = isJsonObject(reasoning) ? (reasoning.get('effort') ?? null) : null;
  const prompt = convert(fields, ['tools', 'instructions', 'input'], effort, true, () => {
    if (fields.value('previous_input_messages') !== null) throw new NotConverted('messages of the Harmony format');
    return chatOfResponses({ instructions: fields.value('instructions'), input: fields.value('input'), tools });
  });
  return { prompt, previousResponse: null, ...common };
}

export function readMessages(fields: RequestFields): ConvertedRequest {
  const thinking = fields.value('thinking');
  const output = fields.value('output_config');
  const isOff = isJsonObject(thinking) && thinking.get('type') === 'disabled';
  const effort = isOff ? 'none' : isJsonObject(output) ? (output.get('effort') ?? null) : null;
  const prompt = convert(fields, ['tools', 'system', 'messages'], effort, false, () =>
    chatOfMessages({
      system: fields.value('system'),
      messages: fields.value('messages'),
      tools: fields.value('tools'),
    }),
  );
  return { prompt, previousResponse: null, usesTools: false };
}

/** @param names of the members that make up the prompt, the one that grows from turn to turn last */
function convert(
  fields: RequestFields,
  names: readonly string[],
  effort: Json,
  addSpecialTokens: boolean,
  chatOf: () => ConvertedChat,
): PromptInput {
  try {
    if (fields.bytes > convertedBytesMax) throw new NotConverted('the body is long');
    if (fields.values > convertedValuesMax) throw new NotConverted('the body has many values');
    return chatPrompt(chatOf(), variables(fields, effort), addSpecialTokens);
  } catch (error) {
    if (!(error instanceof NotConverted || error instanceof JsonError)) throw error;
    const texts = names.map((name) => fields.json(name)?.text ?? '');
    // Without the bracket or quote at the end, so that a conversation begins with the text of the one that it continues.
    return { kind: 'written', text: texts.join('\n').slice(0, -1) };
  }
}

function chatPrompt(chat: ConvertedChat, chatTemplateKwargs: JsonText | null, addSpecialTokens: boolean): ChatPrompt {
  const { messages, merged, tools, continuesLast } = chat;
  const hasTools = tools !== null && tools.length > 0;
  return {
    kind: 'chat',
    ...(merged !== null && {
      otherwise: chatPrompt({ ...chat, messages: merged, merged: null }, chatTemplateKwargs, addSpecialTokens),
    }),
    chat: {
      messages: asText(messages),
      facts: chatFacts(messages, hasTools),
      tools: hasTools ? asText(tools) : null,
      addGenerationPrompt: !continuesLast,
      continueFinalMessage: continuesLast,
      addSpecialTokens,
      chatTemplateKwargs,
    },
  };
}

function asText(value: Json): JsonText {
  return new JsonText(compactJson(value), value);
}

/** An effort enables thinking, unless the client says otherwise. @throws NotConverted */
function variables(fields: RequestFields, effort: Json): JsonText | null {
  const given = fields.value('chat_template_kwargs');
  if (given !== null && !isJsonObject(given)) throw new NotConverted('chat_template_kwargs is not an object');
  if (effort === null || effort === 'auto') return fields.json('chat_template_kwargs');
  const merged = new Map<string, Json>(given ?? (new Map() as JsonObject));
  merged.set('reasoning_effort', effort);
  if (!merged.has('enable_thinking')) merged.set('enable_thinking', effort !== 'none');
  return asText(merged);
}
