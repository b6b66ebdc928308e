// Parses the parts of a request that determine its answer: tools, tool choice and response format.

import { z } from 'zod';
import type { AnswerWish, ResponseFormat, Tool, ToolChoice } from './answer-script.ts';
import { malformed } from './api-error.ts';

export const toolsMax = 128;

export const responseFormat: z.ZodType<
  | { readonly type: 'text' | 'json_object' }
  | { readonly type: 'json_schema'; readonly json_schema: { readonly schema?: unknown } }
> = z.discriminatedUnion('type', [
  z.looseObject({ type: z.enum(['text', 'json_object']) }),
  z.looseObject({
    type: z.literal('json_schema'),
    json_schema: z.looseObject({ name: z.string(), schema: z.unknown().optional() }),
  }),
]);

export function readFormat(format: z.infer<typeof responseFormat> | null | undefined): ResponseFormat {
  switch (format?.type) {
    case undefined:
    case 'text':
      return { kind: 'text' };
    case 'json_object':
      return { kind: 'json-object' };
    case 'json_schema':
      return { kind: 'json-schema', schema: format.json_schema.schema ?? true };
  }
}

const toolForm = z.looseObject({
  type: z.literal('function'),
  function: z.looseObject({ name: z.string().min(1), parameters: z.unknown().optional() }),
});
const choiceForm = z.union([
  z.enum(['none', 'auto', 'required']),
  z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) }),
]);

/** @param tools in the form of chat completions @throws ApiError 400 */
export function readTools(
  tools: readonly unknown[] | null | undefined,
  choice: unknown,
): Pick<AnswerWish, 'tools' | 'toolChoice'> {
  if (tools && tools.length > toolsMax) throw malformed(`tools may hold at most ${toolsMax} functions`, 'tools');
  const read = (tools ?? []).map((tool, at): Tool => {
    const { success, data } = toolForm.safeParse(tool);
    if (success) return { name: data.function.name, parameters: data.function.parameters ?? null };
    throw malformed(`tools[${at}] must be {"type": "function", "function": {"name": ...}}`, 'tools');
  });
  return { tools: read, toolChoice: readChoice(choice, read) };
}

function readChoice(choice: unknown, tools: readonly Tool[]): ToolChoice {
  if (choice === undefined || choice === null) return tools.length > 0 ? 'auto' : 'none';
  const { success, data } = choiceForm.safeParse(choice);
  if (!success) throw malformed('tool_choice must be none, auto, required or a function by its name', 'tool_choice');
  if (tools.length === 0 && data !== 'none' && data !== 'auto') {
    throw malformed('tool_choice can only be set when tools are given', 'tool_choice');
  }
  return typeof data === 'string' ? data : { name: data.function.name };
}
