// Turns a request of Anthropic's messages API into a chat as vLLM does.

import { compactJson } from './compact-json.ts';
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
import { isJsonObject, type Json, type JsonList, type JsonObject } from './json-values.ts';

/** Members of the request's body; null if absent. */
export interface MessagesBody {
  readonly system: Json;
  readonly messages: Json;
  readonly tools: Json;
}

/** @throws NotConverted */
export function chatOfMessages({ system, messages, tools }: MessagesBody): ConvertedChat {
  const given = listOf(messages).map(objectOf);
  const shown = tools === null ? null : listOf(tools).map(chatTool);
  const instructions = system === null ? '' : typeof system === 'string' ? system : textOfBlocks(system);
  const reminders = given.filter(isSystem).map(systemText);
  return {
    messages: converted(instructions, given),
    merged: reminders.length === 0 ? null : converted([instructions, ...reminders].join(''), given.filter(isOther)),
    tools: shown,
    continuesLast: false,
  };
}

function converted(instructions: string, given: readonly JsonObject[]): GrowingMessage[] {
  const messages: GrowingMessage[] = [];
  if (instructions !== '') messages.push(messageOf('system', { content: instructions }));
  for (const message of given) addMessage(messages, message);
  return messages;
}

const isSystem = (message: JsonObject): boolean => message.get('role') === 'system';
const isOther = (message: JsonObject): boolean => !isSystem(message);

/** Of a system message among the others. */
function systemText(message: JsonObject): string {
  const content = message.get('content');
  if (typeof content !== 'string') return textOfBlocks(content ?? null);
  return content.startsWith(billingHeader) ? '' : content;
}

const billingHeader = 'x-anthropic-billing-header';
const changesOfTools: ReadonlySet<Json | undefined> = new Set(['tool_addition', 'tool_removal']);

/** The texts in a row. The billing header, which differs in every request, is not meant for the model. */
function textOfBlocks(blocks: Json): string {
  const given = listOf(blocks).map(objectOf);
  if (given.some((block) => changesOfTools.has(block.get('type')))) throw new NotConverted('tools that change');
  return given
    .filter((block) => block.get('type') === 'text')
    .map((block) => textOf(block.get('text')))
    .filter((text) => !text.startsWith(billingHeader))
    .join('');
}

/** A schema without a type is that of an object. */
function chatTool(tool: Json): JsonObject {
  const given = objectOf(tool);
  const schema = objectOf(given.get('input_schema'));
  return toolOf(given, schema.has('type') ? schema : new Map<string, Json>([...schema, ['type', 'object']]));
}

/** What the blocks of one message become. */
interface Blocks {
  readonly parts: JsonObject[];
  readonly calls: JsonObject[];
  /** Null: it has none. */
  reasoning: string | null;
}

function addMessage(messages: GrowingMessage[], message: JsonObject): void {
  const role = textOf(message.get('role'));
  if (role === 'system') {
    const text = systemText(message);
    if (text !== '') messages.push(messageOf('system', { content: text }));
    return;
  }
  if (role !== 'user' && role !== 'assistant') throw new NotConverted(`a message of ${role}`);
  const content = message.get('content');
  if (typeof content === 'string') {
    messages.push(messageOf(role, { content }));
    return;
  }
  const blocks: Blocks = { parts: [], calls: [], reasoning: null };
  for (const block of listOf(content)) addBlock(messages, blocks, role, objectOf(block));
  const { parts, calls, reasoning } = blocks;
  const converted = messageOf(role);
  if (reasoning !== null) converted.set('reasoning', reasoning);
  if (calls.length > 0) converted.set('tool_calls', calls);
  if (parts.length > 0) converted.set('content', contentOf(parts));
  if (role === 'assistant' || parts.length > 0) messages.push(converted);
}

function contentOf(parts: readonly JsonObject[]): Json {
  const [first] = parts;
  return parts.length === 1 && first!.get('type') === 'text' ? first!.get('text')! : parts;
}

/** Results of tools become messages before the one that holds them. */
function addBlock(messages: GrowingMessage[], blocks: Blocks, role: string, block: JsonObject): void {
  const type = block.get('type');
  switch (type) {
    case 'text': {
      const text = textOf(block.get('text'));
      if (text !== '') blocks.parts.push(textPart(text));
      return;
    }
    case 'image':
      blocks.parts.push(imagePart(objectOf(block.get('source'))));
      return;
    case 'thinking':
      blocks.reasoning = (blocks.reasoning ?? '') + textOf(block.get('thinking'));
      return;
    case 'redacted_thinking':
    case 'tool_reference':
      return;
    case 'tool_use': {
      const input = block.get('input') ?? null;
      const args = input === null ? '{}' : compactJson(objectOf(input));
      blocks.calls.push(callOf(textOf(block.get('id')), textOf(block.get('name')), args));
      return;
    }
    case 'tool_result':
      if (role !== 'user') throw new NotConverted("a tool's result in an assistant's message");
      addToolResult(messages, block);
      return;
    default:
      throw new NotConverted(`a block of type ${JSON.stringify(type)}`);
  }
}

function addToolResult(messages: GrowingMessage[], block: JsonObject): void {
  const given = block.get('content') ?? null;
  const items = Array.isArray(given) ? (given as JsonList).filter(isJsonObject) : [];
  const ofType = (type: string): JsonObject[] => items.filter((item) => item.get('type') === type);
  const texts = ofType('text').map((item) => textOf(item.get('text') ?? ''));
  const toolCallId = textOf(block.get('tool_use_id') ?? '');
  const content = typeof given === 'string' ? given : texts.join('\n');
  messages.push(messageOf('tool', { tool_call_id: toolCallId, content }));
  const images = ofType('image').map((item) => imagePart(objectOf(item.get('source'))));
  if (images.length > 0) messages.push(messageOf('user', { content: images }));
  const references = ofType('tool_reference').map((item) => referencePart(item.get('tool_name') ?? item.get('name')));
  if (references.length > 0) messages.push(messageOf('tool', { tool_call_id: toolCallId, content: references }));
}

function referencePart(name: Json | undefined): JsonObject {
  return new Map<string, Json>([
    ['type', 'tool_reference'],
    ['name', textOf(name)],
  ]);
}

/** Its source stands for its content: only the engine knows its tokens. */
function imagePart(source: JsonObject): JsonObject {
  return new Map<string, Json>([
    ['type', 'image_url'],
    ['image_url', source],
  ]);
}
