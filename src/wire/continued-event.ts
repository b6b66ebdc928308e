// Changes an event of an engine that goes on with an answer, so that it looks like one of the engine that began it.

import type { CompletionChoice, Usage } from './completion-chunk.ts';
import { editSpans, lastMember, lastMembers, type SpanEdit, skipSpace } from './json-members.ts';

const openArrayCode = 0x5b;

/** Raw JSON of what names an answer. */
export interface AnswerNames {
  readonly id: string;
  readonly created: string;
  readonly model: string;
}

/** The answer that is gone on with. */
export interface BegunAnswer {
  /** Null: its engine named nothing. */
  readonly names: AnswerNames | null;
  /** Tokens before this engine's. */
  readonly before: number;
  /** Of the client's prompt; null: not known. */
  readonly promptTokens: number | null;
  /** The text without what the client has already; null: it is all new. */
  readonly fresh: string | null;
}

/** @param json the event's data: an object with these as its choice and usage @returns the event */
export function continuedEvent(
  json: Buffer,
  answer: BegunAnswer,
  choice: CompletionChoice | null,
  usage: Usage | null,
): Buffer {
  const { names } = answer;
  const members = lastMembers(json, skipSpace(json, 0), ['id', 'created', 'model', 'choices', 'usage']);
  const edits: SpanEdit[] = [];
  for (const name of ['id', 'created', 'model'] as const) {
    const span = members.get(name);
    if (span !== undefined && names !== null) edits.push({ ...span, by: names[name] });
  }
  const list = members.get('choices');
  if (choice !== null && list !== undefined) edits.push(...choiceEdits(json, list.start, choice, answer.fresh));
  const told = members.get('usage');
  if (usage !== null && told !== undefined) edits.push(...usageEdits(json, told.start, usage, answer));
  return Buffer.concat([Buffer.from('data: '), editSpans(json, edits), Buffer.from('\n\n')]);
}

/** Without a second role, and without the ids of a prompt that is longer than the client's. */
function choiceEdits(json: Buffer, list: number, choice: CompletionChoice, fresh: string | null): SpanEdit[] {
  const open = skipSpace(json, list + 1);
  const edits: SpanEdit[] = [];
  const ids = lastMember(json, open, 'prompt_token_ids');
  if (ids !== null && json[ids.start] === openArrayCode) edits.push({ ...ids, by: 'null' });
  const { delta: message = null } = choice;
  const isMessage = typeof message === 'object' && message !== null && !Array.isArray(message);
  const delta = isMessage ? lastMember(json, open, 'delta') : null;
  const role = delta !== null && typeof message?.role === 'string' ? lastMember(json, delta.start, 'role') : null;
  if (role !== null) edits.push({ ...role, by: 'null' });
  const text = delta === null ? lastMember(json, open, 'text') : lastMember(json, delta.start, 'content');
  if (fresh !== null && text !== null) edits.push({ ...text, by: JSON.stringify(fresh) });
  return edits;
}

/** @param json the data of an engine's first event @returns null if it does not name its answer */
export function namesOf(json: Buffer): AnswerNames | null {
  const spans = lastMembers(json, skipSpace(json, 0), ['id', 'created', 'model']);
  const raw = (name: string): string | null => {
    const span = spans.get(name);
    return span === undefined ? null : json.toString('utf8', span.start, span.end);
  };
  const [id, created, model] = [raw('id'), raw('created'), raw('model')];
  return id === null || created === null || model === null ? null : { id, created, model };
}

/** The usage as if one engine had answered: later ones count the text before theirs as part of the prompt. */
function usageEdits(json: Buffer, open: number, usage: Usage, answer: BegunAnswer): SpanEdit[] {
  const promptTokens = answer.promptTokens ?? Math.max(0, usage.promptTokens - answer.before);
  const completionTokens = answer.before + usage.completionTokens;
  const counts: Readonly<Record<string, number>> = {
    ['prompt_tokens']: promptTokens,
    ['completion_tokens']: completionTokens,
    ['total_tokens']: promptTokens + completionTokens,
  };
  const edits = [...lastMembers(json, open, Object.keys(counts))].map(([name, span]) => {
    return { ...span, by: String(counts[name]) };
  });
  const details = lastMember(json, open, 'prompt_tokens_details');
  if (usage.cachedTokens === null || details === null) return edits;
  const cached = lastMember(json, details.start, 'cached_tokens');
  if (cached !== null) edits.push({ ...cached, by: String(Math.min(usage.cachedTokens, promptTokens)) });
  return edits;
}
