// Scripted answer text for requests that need a tool call or JSON.

import type { Random } from '../core/random.ts';
import { unservable } from './api-error.ts';
import { textForSchema } from './schema-text.ts';

/** A function that the model may call. */
export interface Tool {
  readonly name: string;
  /** JSON schema. Null: no arguments. */
  readonly parameters: unknown;
}

export type ToolChoice = 'none' | 'auto' | 'required' | { readonly name: string };

export type ResponseFormat =
  | { readonly kind: 'text' }
  | { readonly kind: 'json-object' }
  | { readonly kind: 'json-schema'; readonly schema: unknown };

export interface AnswerWish {
  readonly tools: readonly Tool[];
  readonly toolChoice: ToolChoice;
  /** Whether the last message is a tool result. `auto` then answers in words, so that an agent loop ends. */
  readonly afterTool: boolean;
  readonly format: ResponseFormat;
}

/** The whole text of an answer. For a tool call: the arguments, with the function that is called. */
export interface AnswerScript {
  readonly text: string;
  readonly toolName: string | null;
}

export const plainWish: AnswerWish = { tools: [], toolChoice: 'none', afterTool: false, format: { kind: 'text' } };

/** @returns null if any words will do @throws ApiError 400 for an unsupported schema */
export function scriptFor(wish: AnswerWish, random: Random): AnswerScript | null {
  const tool = calledTool(wish, random);
  if (tool !== null) {
    const { name, parameters } = tool;
    return { text: parameters === null ? '{}' : textForSchema(parameters, random, 'tools'), toolName: name };
  }
  switch (wish.format.kind) {
    case 'text':
      return null;
    case 'json-object':
      return { text: textForSchema(anyObject, random, 'response_format'), toolName: null };
    case 'json-schema':
      return { text: textForSchema(wish.format.schema, random, 'response_format'), toolName: null };
  }
}

const anyObject = {
  type: 'object',
  properties: { answer: { type: 'string' }, count: { type: 'integer' }, sure: { type: 'boolean' } },
};

function calledTool({ tools, toolChoice, afterTool }: AnswerWish, random: Random): Tool | null {
  if (toolChoice === 'none' || tools.length === 0) return null;
  if (toolChoice === 'auto' && afterTool) return null;
  if (typeof toolChoice === 'string') return tools[random.below(tools.length)]!;
  const named = tools.find(({ name }) => name === toolChoice.name);
  if (named !== undefined) return named;
  throw unservable(`tool_choice names the function ${toolChoice.name}, which is not among the tools.`, 'tool_choice');
}
