// Changes the bytes of a request so that an engine goes on where the answer of another one broke off; all other bytes
// stay unchanged.

import {
  editSpans,
  isEmptyObject,
  isSpace,
  lastMember,
  lastMembers,
  type Span,
  type SpanEdit,
  skipSpace,
} from './json-members.ts';

const quoteCode = 0x22;
const openObjectCode = 0x7b;
const closeArrayCode = 0x5d;

/** vLLM's default for completions. */
const completionTokensDefault = 16;

/** What the client already has of the answer. */
export interface GivenText {
  /** The text as the inside of a JSON string. */
  readonly text: Buffer;
  /** Its tokens, to be appended to a prompt of token ids; null: the prompt is a text. */
  readonly ids: readonly number[] | null;
  /** Number of tokens that the engine has generated for it. */
  readonly tokens: number;
}

const chatNames = [
  'messages',
  'continue_final_message',
  'add_generation_prompt',
  'max_completion_tokens',
  'max_tokens',
  'min_tokens',
];
const completionNames = ['prompt', 'max_tokens', 'min_tokens'];

/**
 * A chat gets the text as a last message that is to be continued, a completion as the end of its prompt. Limits on the
 * output lose the tokens that there are already.
 * @param body a JSON object that `JSON.parse` accepts: a chat with at least one message, or a completion of one prompt
 * that is not empty
 */
export function continuedBody(body: Buffer, api: 'chat' | 'completions', given: GivenText): Buffer {
  const open = skipSpace(body, 0);
  const members = lastMembers(body, open, api === 'chat' ? chatNames : completionNames);
  const edits: SpanEdit[] = [];
  const added: string[] = [];
  const set = (name: string, value: string): void => {
    const span = members.get(name);
    if (span === undefined) added.push(`"${name}":${value}`);
    else edits.push({ ...span, by: value });
  };
  if (api === 'chat') {
    const at = members.get('messages')!.end - 1;
    const text = [Buffer.from(',{"role":"assistant","content":"'), given.text, Buffer.from('"}')];
    edits.push({ start: at, end: at, by: Buffer.concat(text) });
    set('continue_final_message', 'true');
    set('add_generation_prompt', 'false');
  } else edits.push(promptEdit(body, members.get('prompt')!, given));
  const limits = api === 'chat' ? ['max_completion_tokens', 'max_tokens'] : ['max_tokens'];
  for (const name of limits) {
    const limit = numberAt(body, members.get(name));
    if (limit !== null) set(name, String(Math.max(1, limit - given.tokens)));
    else if (api === 'completions') set(name, String(Math.max(1, completionTokensDefault - given.tokens)));
  }
  const least = numberAt(body, members.get('min_tokens'));
  if (least !== null) set('min_tokens', String(Math.max(0, least - given.tokens)));
  if (added.length > 0) {
    const text = added.join(',');
    edits.push({ start: open + 1, end: open + 1, by: isEmptyObject(body, open) ? text : `${text},` });
  }
  return editSpans(body, edits);
}

/** Whether the client asks for the usage at the end of its stream. */
export function asksForUsage(body: Buffer): boolean {
  const options = lastMember(body, skipSpace(body, 0), 'stream_options');
  if (options === null || body[options.start] !== openObjectCode) return false;
  const include = lastMember(body, options.start, 'include_usage');
  return include !== null && body.toString('latin1', include.start, include.end) === 'true';
}

/** The prompt is a text or a list of token ids, possibly the only one of a list. */
function promptEdit(body: Buffer, prompt: Span, { text, ids }: GivenText): SpanEdit {
  let at = prompt.end;
  while (body[at - 1] === closeArrayCode) {
    at -= 1;
    while (isSpace(body[at - 1])) at -= 1;
  }
  if (body[at - 1] === quoteCode) return { start: at - 1, end: at - 1, by: text };
  return { start: at, end: at, by: ids === null || ids.length === 0 ? '' : `,${ids.join(',')}` };
}

function numberAt(body: Buffer, span: Span | undefined): number | null {
  if (span === undefined) return null;
  const value = Number(body.toString('latin1', span.start, span.end));
  return Number.isFinite(value) && body[span.start] !== quoteCode ? value : null;
}
