// Reads answers of APIs other than chat and completions: their events, their usage, and the id of a response.
//
// `responses`: OpenAI's responses API. `messages`: Anthropic's messages API. `other`: any other route; each event counts
// as progress, and a usage in other units is none.

import { readUsage, type UsageReading } from './completion-chunk.ts';
import { lastMember, skipSpace } from './json-members.ts';

export type AnswerDialect = 'responses' | 'messages' | 'other';

export interface EventReading {
  /** The engine has computed a token for it, which it may or may not show; null: it has not. */
  readonly tokens: number | null;
  /** The answer is complete. */
  readonly ends: boolean;
  readonly usage: UsageReading;
  /** Message of an error; null: it is none. */
  readonly error: string | null;
  /** The error's HTTP status, if the engine tells it. */
  readonly errorStatus: number | null;
  /** Id under which the engine may keep the response; null: not told. */
  readonly responseId: string | null;
}

const nothing: EventReading = {
  tokens: null,
  ends: false,
  usage: 'absent',
  error: null,
  errorStatus: null,
  responseId: null,
};
const oneToken: EventReading = { ...nothing, tokens: 1 };

/** With their quotes they can't occur inside a JSON string. */
const plainDelta: Readonly<Record<'responses' | 'messages', RegExp>> = {
  responses: /"type":\s?"response\.[a-z_]+\.delta"/,
  messages: /"type":\s?"(?:text|thinking|input_json)_delta"/,
};

type Members = Readonly<Record<string, unknown>>;

/**
 * @param data of one event
 * @param started usage object of an earlier event, whose members count where a later one lacks them
 */
export function readEvent(dialect: AnswerDialect, data: string, started: unknown = null): EventReading {
  if (data === '[DONE]') return { ...nothing, ends: true };
  if (dialect !== 'other' && plainDelta[dialect].test(data)) return oneToken;
  const event = parsed(data);
  if (event === null) return dialect === 'other' ? oneToken : nothing;
  const error = readError(event);
  if (error !== null) return error;
  switch (dialect) {
    case 'responses':
      return readResponsesEvent(event);
    case 'messages':
      return readMessagesEvent(event, started);
    case 'other':
      return { ...oneToken, usage: readDialectUsage('other', event['usage']) };
  }
}

/** The usage that opens a stream of messages; null: the event has none. */
export function openingUsage(data: string): unknown {
  if (!data.includes('message_start')) return null;
  const event = parsed(data);
  return event?.['type'] === 'message_start' ? (membersOf(event['message'])?.['usage'] ?? null) : null;
}

function readResponsesEvent(event: Members): EventReading {
  const type = typeof event['type'] === 'string' ? event['type'] : '';
  const response = membersOf(event['response']);
  const responseId = readId(response?.['id']);
  switch (type) {
    case 'response.completed':
    case 'response.incomplete':
      return { ...nothing, ends: true, usage: readDialectUsage('responses', response?.['usage']), responseId };
    case 'response.failed':
    case 'response.cancelled': {
      const message = membersOf(response?.['error'])?.['message'];
      return {
        ...nothing,
        ends: true,
        error: typeof message === 'string' ? message : `the answer is ${type.slice(9)}`,
      };
    }
    default:
      // The first item is announced with its first token.
      return { ...nothing, tokens: type.startsWith('response.output_item.') ? 0 : null, responseId };
  }
}

function readMessagesEvent(event: Members, started: unknown): EventReading {
  switch (event['type']) {
    case 'content_block_start':
      return { ...nothing, tokens: 0 };
    case 'message_delta': {
      const usage = membersOf(event['usage']);
      return usage === null
        ? nothing
        : { ...nothing, usage: readDialectUsage('messages', { ...membersOf(started), ...usage }) };
    }
    case 'message_stop':
      return { ...nothing, ends: true };
    default:
      return nothing;
  }
}

/** `{"type":"error",...}`, or any event with an `error`, as in the chat API. */
function readError(event: Members): EventReading | null {
  const error = event['error'] ?? null;
  if (error === null && event['type'] !== 'error') return null;
  const members = membersOf(error) ?? event;
  const message = typeof error === 'string' ? error : members['message'];
  const code = members['code'];
  return {
    ...nothing,
    error: typeof message === 'string' ? message : 'the engine reported an error',
    errorStatus: typeof code === 'number' ? code : null,
  };
}

/** @param value the usage object of an answer */
export function readDialectUsage(dialect: AnswerDialect, value: unknown): UsageReading {
  const usage = membersOf(value);
  if (usage === null) return 'absent';
  switch (dialect) {
    case 'responses':
      return readUsage({
        prompt_tokens: usage['input_tokens'],
        completion_tokens: usage['output_tokens'],
        prompt_tokens_details: usage['input_tokens_details'],
      });
    case 'messages': {
      // The tokens read from the cache and written to it are not among the input tokens.
      const cached = usage['cache_read_input_tokens'] ?? null;
      const written = usage['cache_creation_input_tokens'] ?? null;
      return readUsage({
        prompt_tokens: sumOf(usage['input_tokens'], cached, written),
        completion_tokens: usage['output_tokens'],
        prompt_tokens_details: { cached_tokens: cached },
      });
    }
    case 'other':
      return (usage['prompt_tokens'] ?? null) === null ? 'absent' : readUsage(usage);
  }
}

/** NaN, which is no token count, if any of them is not a number. */
function sumOf(...counts: readonly unknown[]): number {
  let sum = 0;
  for (const count of counts) if (count !== null) sum += typeof count === 'number' ? count : Number.NaN;
  return sum;
}

export interface WholeAnswer {
  readonly usage: UsageReading;
  readonly responseId: string | null;
}

/** Parsing a larger body would block the event loop: only its usage and its id are parsed. */
const parsedBodyBytesMax = 256 * 1024;

/** An answer in one piece. O(bytes) */
export function readWholeAnswer(dialect: AnswerDialect, body: Buffer): WholeAnswer {
  try {
    const of = body.length > parsedBodyBytesMax ? parts(body) : membersOf(JSON.parse(body.toString('utf8')));
    const responseId = dialect === 'responses' ? readId(of?.['id']) : null;
    return { usage: readDialectUsage(dialect, of?.['usage']), responseId };
  } catch {
    // Not JSON: engines may answer anything, and the client gets it unchanged.
    return { usage: 'absent', responseId: null };
  }
}

/** @throws Error if the body is not a JSON object */
function parts(body: Buffer): Members | null {
  const open = skipSpace(body, 0);
  if (body[open] !== 0x7b) return null;
  const memberOf = (name: string): unknown => {
    const span = lastMember(body, open, name);
    if (span === null || span.end - span.start > parsedBodyBytesMax) return null;
    return JSON.parse(body.toString('utf8', span.start, span.end));
  };
  return { usage: memberOf('usage'), id: memberOf('id') };
}

/** Longest id of a response that is remembered. */
export const responseIdLengthMax = 256;

function readId(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value.length <= responseIdLengthMax ? value : null;
}

function parsed(data: string): Members | null {
  try {
    return membersOf(JSON.parse(data));
  } catch {
    // The client gets it unchanged.
    return null;
  }
}

function membersOf(value: unknown): Members | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : null;
}
