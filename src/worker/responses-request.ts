// Parses a request to /v1/responses. Its items become chat messages.

import { z } from 'zod';
import { plainChat } from '../tokens/plain-chat.ts';
import { readFormat, readTools } from './answer-wish.ts';
import { malformed, unservable } from './api-error.ts';
import { check, commonFields, type GenerationRequest, readCommon } from './generation-request.ts';
import { topLogprobsMax } from './token-logprobs.ts';

/** Request fields that the answer repeats. */
export interface ResponsesEcho {
  readonly instructions: string | null;
  readonly maxOutputTokens: number | null;
  readonly metadata: unknown;
  readonly parallelToolCalls: boolean;
  readonly temperature: number | null;
  readonly toolChoice: unknown;
  readonly tools: readonly unknown[];
  readonly topLogprobs: number;
  readonly topP: number | null;
  readonly text: unknown;
}

const responsesBody = z.looseObject({
  model: commonFields.model,
  input: z.union([z.string(), z.array(z.looseObject({})).min(1)]),
  instructions: z.string().nullish(),
  max_output_tokens: z.int().min(1).nullish(),
  stream: z.boolean().nullish(),
  tools: z.array(z.looseObject({})).nullish(),
  tool_choice: z.unknown().optional(),
  text: z.looseObject({ format: z.looseObject({ type: z.string() }).nullish() }).nullish(),
  include: z.array(z.string()).nullish(),
  top_logprobs: z.int().min(0).max(topLogprobsMax).nullish(),
  temperature: z.number().nullish(),
  top_p: z.number().nullish(),
  metadata: z.unknown().optional(),
  parallel_tool_calls: z.boolean().nullish(),
  previous_response_id: z.string().nullish(),
  background: z.boolean().nullish(),
  ignore_eos: commonFields.ignore_eos,
  cache_salt: commonFields.cache_salt,
  request_id: commonFields.request_id,
  priority: commonFields.priority,
});

type Item = Readonly<Record<string, unknown>>;

/** @throws ApiError 400 */
export function readResponses(body: unknown): { readonly generation: GenerationRequest; readonly echo: ResponsesEcho } {
  const fields = check(responsesBody, body);
  if (fields.previous_response_id) throw unservable('Responses are not stored.', 'previous_response_id');
  if (fields.background === true) throw unservable('Responses are not stored.', 'background');
  const items: readonly Item[] = typeof fields.input === 'string' ? [textMessage('user', fields.input)] : fields.input;
  const instructions = fields.instructions ?? null;
  const messages = [...(instructions === null ? [] : [textMessage('system', instructions)]), ...items.map(messageOf)];
  const chatTools = (fields.tools ?? []).map(chatTool);
  const withLogprobs = fields.include?.includes('message.output_text.logprobs') === true;
  const generation: GenerationRequest = {
    api: 'responses',
    prompts: [{ kind: 'chat', begun: null, chat: plainChat({ messages, tools: fields.tools ? chatTools : null }) }],
    outputTokensMax: fields.max_output_tokens ?? null,
    ...readCommon({
      model: fields.model,
      stream: fields.stream,
      ignore_eos: fields.ignore_eos,
      cache_salt: fields.cache_salt,
      request_id: fields.request_id,
      priority: fields.priority,
    }),
    logprobs: withLogprobs ? (fields.top_logprobs ?? 0) : null,
    wish: {
      ...readTools(chatTools, chatChoice(fields.tool_choice)),
      afterTool: items.at(-1)!['type'] === 'function_call_output',
      format: textFormat(fields.text?.format ?? null),
    },
  };
  return {
    generation,
    echo: {
      instructions,
      maxOutputTokens: fields.max_output_tokens ?? null,
      metadata: fields.metadata ?? {},
      parallelToolCalls: fields.parallel_tool_calls ?? true,
      temperature: fields.temperature ?? null,
      toolChoice: fields.tool_choice ?? 'auto',
      tools: fields.tools ?? [],
      topLogprobs: fields.top_logprobs ?? 0,
      topP: fields.top_p ?? null,
      text: fields.text ?? { format: { type: 'text' } },
    },
  };
}

function textMessage(role: string, content: string): Item {
  return { role, content };
}

function messageOf(item: Item): Item {
  switch (item['type']) {
    case undefined:
    case 'message':
      return { role: item['role'], content: contentOf(item['content']) };
    case 'function_call': {
      const call = { name: item['name'], arguments: item['arguments'] };
      return {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: item['call_id'], type: 'function', function: call }],
      };
    }
    case 'function_call_output':
      return { role: 'tool', tool_call_id: item['call_id'], content: contentOf(item['output']) };
    default:
      throw unservable(`input has an item of the type ${String(item['type']).slice(0, 40)}.`, 'input');
  }
}

/** Reads a text, or a list of text parts. */
function contentOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw malformed('input: the content of an item must be a text or a list', 'input');
  return content
    .map((part: unknown) => {
      const text = typeof part === 'object' && part !== null && 'text' in part ? part.text : null;
      if (typeof text !== 'string') throw unservable('input has content that is not text.', 'input');
      return text;
    })
    .join('');
}

/** Converts a tool, which has no `function` around name and parameters in /v1/responses. */
function chatTool(tool: Item): object {
  const { type, ...declared } = tool;
  if (type !== 'function') throw unservable(`tools: the simulated engine supports functions only.`, 'tools');
  return { type, function: declared };
}

function chatChoice(choice: unknown): unknown {
  if (typeof choice !== 'object' || choice === null || !('name' in choice)) return choice;
  return { type: 'function', function: { name: choice.name } };
}

function textFormat(format: Item | null): GenerationRequest['wish']['format'] {
  switch (format?.['type']) {
    case undefined:
    case 'text':
      return readFormat(null);
    case 'json_object':
      return readFormat({ type: 'json_object' });
    case 'json_schema':
      return readFormat({ type: 'json_schema', json_schema: { schema: format?.['schema'] } });
    default:
      throw malformed('text.format must be text, json_object or json_schema', 'text');
  }
}
