// Chats that reveal rendering differences between engines and templates: tools, calls, roles, parts.

import type { ChatFeature } from '../../tokens/chat-facts.ts';
import { JsonText } from '../../tokens/exact-json.ts';
import type { ChatInput } from '../../tokens/tokenizer.ts';

/** Numbers and key orders that JavaScript would change; a function without description, one without parameters. */
const tools = `[
  {"function": {"parameters": {"type": "object", "10": 1.0, "2": 1E5, "properties": {"b": {"minimum": 0.0,
    "maximum": 1e16, "default": 12345678901234567890}, "a": {"enum": [1.50, null, true]}}}, "name": "first",
    "strict": true, "cache_control": {"type": "ephemeral"}}, "type": "function", "extra": 1},
  {"type": "function", "function": {"description": "Zürich & \\"more\\"", "name": "second"}}]`;
const user = '{"role": "user", "content": "Routing 12345 tokens"}';
const calls = `[${user}, {"content": null, "role": "assistant", "tool_calls": [{"type": "function", "id": "abcdefghi",
  "function": {"name": "first", "arguments": "{\\"10\\": 1.0, \\"2\\": [1e16, {}], \\"a\\": 1E5}"}}]},
  {"role": "tool", "tool_call_id": "abcdefghi", "content": "{\\"t\\": 21.0}"}, ${user}]`;
const parts = `[{"role": "user", "content": [{"type": "text", "text": "Routing 12345"},
  {"type": "text", "text": "tokens", "cache_control": {"type": "ephemeral"}}]}]`;
/** An image of one pixel. */
const image =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const images = `[{"role": "user", "content": [{"type": "text", "text": "Routing 12345"},
  {"type": "image_url", "image_url": {"url": "${image}"}}]}]`;

const of = (messages: string, toolsText: string | null = null): ChatInput => ({
  messages: new JsonText(messages),
  tools: toolsText === null ? null : new JsonText(toolsText),
});

export const featureChats: readonly (readonly [ChatFeature, ChatInput])[] = [
  ['tools', of(`[${user}]`, tools)],
  ['tool-calls', of(calls, tools)],
  ['developer', of(`[${user}, {"role": "developer", "content": "Be brief."}, ${user}]`)],
  ['reasoning', of(`[${user}, {"role": "assistant", "content": "Yes.", "reasoning_content": "Well."}, ${user}]`)],
  ['content-parts', of(parts)],
  ['images', of(images)],
];
