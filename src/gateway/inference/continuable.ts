// Whether another engine could go on with the stream of a request, judged by the fields of its body.

import { isJsonObject, type Json, JsonFloat } from '../../tokens/json-values.ts';
import type { PromptInput } from '../prompts/prompt-input.ts';
import type { RequestFields } from './request-fields.ts';

/** Fields that must be absent, null, false or empty: what they ask for depends on the output as a whole. */
const absentFields = [
  'echo',
  'suffix',
  'logprobs',
  'prompt_logprobs',
  'prompt_embeds',
  'truncate_prompt_tokens',
  'use_beam_search',
  'continue_final_message',
  'functions',
  'guided_json',
  'guided_regex',
  'guided_choice',
  'guided_grammar',
  'structured_outputs',
  'json_schema',
  'regex',
  'ebnf',
  'structural_tag',
  'thinking_token_budget',
  'logits_processors',
  'custom_logit_processor',
  'kv_transfer_params',
  'return_hidden_states',
] as const;

/** Counts that must be 1: prompts times these are the choices. */
const singleFields = ['n', 'best_of'] as const;

/** Penalties that count the tokens of the output, with the value that has no effect. */
const penalties: readonly (readonly [name: string, neutral: number])[] = [
  ['presence_penalty', 0],
  ['frequency_penalty', 0],
  ['repetition_penalty', 1],
];

/** With these an engine sends the beginning of a `stop` string before it knows the end, which the next one would not find. */
const stopKeepers = ['include_stop_str_in_output', 'no_stop_trim'] as const;

/** @returns the field of the body that keeps another engine from going on; null: none does. O(fields) */
export function whatKeepsFromContinuing(
  api: 'chat' | 'completions',
  fields: RequestFields,
  prompts: readonly PromptInput[],
): string | null {
  if (prompts.length !== 1) return 'prompt';
  for (const name of singleFields) if (!isNumberOr(fields.value(name), 1)) return name;
  for (const [name, neutral] of penalties) if (!isNumberOr(fields.value(name), neutral)) return name;
  for (const name of absentFields) if (!isEmpty(fields.value(name))) return name;
  if (!isEmpty(fields.value('stop'))) for (const name of stopKeepers) if (!isEmpty(fields.value(name))) return name;
  const format = fields.value('response_format');
  if (format !== null && !(isJsonObject(format) && format.get('type') === 'text')) return 'response_format';
  if (api === 'completions') return null;
  const choice = fields.value('tool_choice');
  if (choice !== null && choice !== 'none' && choice !== 'auto') return 'tool_choice';
  return fields.value('add_generation_prompt') === false ? 'add_generation_prompt' : null;
}

function isNumberOr(value: Json, neutral: number): boolean {
  return value === null || (value instanceof JsonFloat ? value.value : value) === neutral;
}

function isEmpty(value: Json): boolean {
  return value === null || value === false || value === '' || (Array.isArray(value) && value.length === 0);
}
