// Turns a request of the responses API into a chat as vLLM does.
//
// Items of an assistant in a row (reasoning, text, calls) become one message where their parts are still free.

import {
  type ConvertedChat,
  callOf,
  type GrowingMessage,
  listOf,
  messageOf,
  NotConverted,
  objectOf,
  textOf,
  textPart,
  toolOf,
} from './converted-chat.ts';
import type { Json, JsonList, JsonObject } from './json-values.ts';

/** Members of the request's body; null if absent. */
export interface ResponsesBody {
  readonly instructions: Json;
  readonly input: Json;
  readonly tools: Json;
}

/** @throws NotConverted */
export function chatOfResponses({ instructions, input, tools }: ResponsesBody): ConvertedChat {
  const messages: GrowingMessage[] = [];
  if (instructions !== null && instructions !== '')
    messages.push(messageOf('system', { content: textOf(instructions) }));
  const converted = { tools: shownTools(tools), messages, merged: null };
  if (typeof input === 'string') {
    messages.push(messageOf('user', { content: input }));
    return { ...converted, continuesLast: false };
  }
  const items = listOf(input).map(objectOf);
  const ofInput: GrowingMessage[] = [];
  for (const item of items) addItem(ofInput, item);
  messages.push(...ofInput);
  return { ...converted, continuesLast: isUnfinished(items.at(-1)) };
}

/** Whether the engine may call tools by itself before it answers. */
export function hasBuiltinTools(tools: Json): boolean {
  const isOwn = (tool: Json): boolean =>
    tool instanceof Map && ['function', 'custom', 'namespace'].includes(String(tool.get('type')));
  return Array.isArray(tools) && !(tools as JsonList).every(isOwn);
}

/** Built-in tools are not shown to the model. */
function shownTools(tools: Json): JsonList | null {
  if (tools === null) return null;
  return listOf(tools)
    .map(objectOf)
    .flatMap((tool) => {
      switch (textOf(tool.get('type'))) {
        case 'function':
          return [toolOf(tool, tool.get('parameters') ?? null)];
        case 'custom':
        case 'namespace':
          throw new NotConverted('the engine rewrites such tools');
        default:
          return [];
      }
    });
}

function addItem(messages: GrowingMessage[], item: JsonObject): void {
  const type = item.get('type') ?? 'message';
  switch (type) {
    case 'function_call':
      if ((item.get('namespace') ?? null) !== null) throw new NotConverted('a call in a namespace');
      addCall(messages, callOf(...callTexts(item)));
      return;
    case 'function_call_output': {
      const output = item.get('output');
      const content = typeof output === 'string' ? output : listOf(output).map(plainPart);
      messages.push(messageOf('tool', { content, tool_call_id: textOf(item.get('call_id')) }));
      return;
    }
    case 'reasoning':
      addToAssistant(messages, 'reasoning', reasoningOf(item));
      return;
    case 'message':
      addMessage(messages, item);
      return;
    default:
      throw new NotConverted(`an item of type ${JSON.stringify(type)}`);
  }
}

function callTexts(item: JsonObject): [string, string, string] {
  return [textOf(item.get('call_id')), textOf(item.get('name')), textOf(item.get('arguments'))];
}

function addCall(messages: GrowingMessage[], call: JsonObject): void {
  const last = messages.at(-1);
  if (last?.get('role') !== 'assistant') {
    messages.push(messageOf('assistant', { tool_calls: [call] }));
    return;
  }
  const calls = last.get('tool_calls') as Json[] | undefined;
  // Added in place: a chat may have thousands of calls in a row.
  if (calls === undefined) last.set('tool_calls', [call]);
  else calls.push(call);
}

function addMessage(messages: GrowingMessage[], item: JsonObject): void {
  const role = textOf(item.get('role'));
  const content = item.get('content');
  if (role !== 'assistant') {
    messages.push(messageOf(role, { content: typeof content === 'string' ? content : listOf(content).map(plainPart) }));
    return;
  }
  // Of several parts only the first is used.
  const text = typeof content === 'string' ? content : textOf(objectOf(listOf(content)[0]).get('text'));
  addToAssistant(messages, 'content', text);
}

/** The content of a reasoning, else its summary; only the first part of either. */
function reasoningOf(item: JsonObject): string {
  if (item.get('encrypted_content')) throw new NotConverted('encrypted content');
  const summary = listOf(item.get('summary'));
  const content = item.get('content') ?? null;
  const parts = content === null || listOf(content).length === 0 ? summary : listOf(content);
  return parts.length === 0 ? '' : textOf(objectOf(parts[0]).get('text'));
}

/** Sets the member of the last message if that is an assistant's without it, else begins a message. */
function addToAssistant(messages: GrowingMessage[], name: 'content' | 'reasoning', text: string): void {
  const last = messages.at(-1);
  if (last?.get('role') === 'assistant' && !last.has(name)) last.set(name, text);
  else messages.push(messageOf('assistant', { [name]: text }));
}

/** As in the chat API, without members that the engine drops. */
function plainPart(part: Json): Json {
  const given = objectOf(part);
  return given.get('type') === 'input_text' ? textPart(textOf(given.get('text'))) : given;
}

function isUnfinished(item: JsonObject | undefined): boolean {
  if (item === undefined || !['message', 'reasoning'].includes(String(item.get('type') ?? 'message'))) return false;
  return item.get('status') === 'in_progress' || item.get('status') === 'incomplete';
}
