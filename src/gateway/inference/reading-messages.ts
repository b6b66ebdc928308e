// The messages between the event loop and the thread that reads large bodies.

import { JsonText } from '../../tokens/exact-json.ts';
import type { BytesPiece } from '../../tokens/in-pieces.ts';
import { LongText } from '../../tokens/long-text.ts';
import type { ChatInput } from '../../tokens/tokenizer.ts';
import type { Span } from '../../wire/json-members.ts';
import type { ModelReading } from '../../wire/json-model.ts';
import type { SentError } from '../exchange/sent-error.ts';
import type { ChatPrompt, PromptInput } from '../prompts/prompt-input.ts';
import type { ClientRights } from './client-rights.ts';
import type { InferenceApi, InferenceRequest } from './request-intake.ts';

export type ReadingTask =
  | {
      readonly kind: 'inference';
      readonly api: InferenceApi;
      /** Another engine may go on with a stream. */
      readonly continues: boolean;
      readonly rights: ClientRights;
      /** A stream is asked for its usage. */
      readonly injectUsage: boolean;
    }
  | { readonly kind: 'measured'; readonly contentType: string | null; readonly rights: ClientRights };

/** What its reader found out about the bytes of a body. */
export interface ReadBytes {
  /** The body with a limited priority and a request for usage; null: as it is. */
  readonly edited: Uint8Array | null;
  /** Where the edited body names the model, from quote to quote; null: nowhere. */
  readonly modelAt: Span | null;
}

export type Reading =
  | ({
      readonly kind: 'inference';
      readonly request: InferenceRequest;
      readonly hidesUsage: boolean;
    } & ReadBytes)
  | ({ readonly kind: 'measured'; readonly reading: ModelReading } & ReadBytes);

export type ReadingRequest<Task = ReadingTask> =
  /** The body of the task with this id, before it. */
  | { readonly kind: 'piece'; readonly id: number; readonly piece: BytesPiece }
  | { readonly kind: 'read'; readonly id: number; readonly task: Task }
  /** The client is gone. */
  | { readonly kind: 'drop'; readonly id: number };

export type ReadingReply<Read = Reading> =
  | { readonly kind: 'read'; readonly id: number; readonly reading: Read }
  | { readonly kind: 'failed'; readonly id: number; readonly error: SentError };

/** Longer texts cross as bytes, which takes no time on the other side. */
const sentCharsMax = 1024;

/** A text as it crosses: itself, its bytes, or where they are in the body. Objects lose their class on the way. */
type Crossing = string | Pick<LongText, 'bytes' | 'length'> | { readonly at: number; readonly length: number };

/**
 * @param body that the prompt was read from, if the other side has it too; else null
 * @param memory gets what is to be transferred with it
 */
export function crossed(prompt: PromptInput, body: Buffer | null, memory: ArrayBuffer[]): PromptInput {
  const crossing = (given: string | LongText): Crossing => {
    if (given.length <= sentCharsMax) return given.toString();
    const long = typeof given === 'string' ? LongText.of(given) : given;
    const { bytes, length } = long;
    if (bytes.buffer === body?.buffer) return { at: bytes.byteOffset - body.byteOffset, length: bytes.length };
    memory.push(bytes.buffer as ArrayBuffer);
    return { bytes, length };
  };
  if (prompt.kind === 'tokens') memory.push(prompt.tokens.buffer as ArrayBuffer);
  return mapTexts(prompt, (text) => crossing(text) as string | LongText);
}

/** The prompt as it was before it crossed. @param body as of `crossed` */
export function uncrossed(prompt: PromptInput, body: Buffer | null): PromptInput {
  const text = (crossing: Crossing): string | LongText => {
    if (typeof crossing === 'string') return crossing;
    const { length } = crossing;
    // One byte for each character.
    if ('at' in crossing) return new LongText(body!.subarray(crossing.at, crossing.at + length), length);
    return new LongText(crossing.bytes, length);
  };
  return mapTexts(prompt, text as TextMap);
}

/** The request as it was before it crossed. @param body that it was read from */
export function received(request: InferenceRequest, body: Buffer): InferenceRequest {
  return { ...request, prompts: request.prompts.map((prompt) => uncrossed(prompt, body)) };
}

type TextMap = (text: string | LongText) => string | LongText;

function mapTexts(prompt: PromptInput, map: TextMap): PromptInput {
  if (prompt.kind === 'chat') return mapChat(prompt, map);
  return prompt.kind === 'text' || prompt.kind === 'written' ? { ...prompt, text: map(prompt.text) } : prompt;
}

function mapChat({ chat, otherwise }: ChatPrompt, map: TextMap): ChatPrompt {
  const json = (given: JsonText | null | undefined): JsonText | null =>
    given ? new JsonText(map(given.written)) : null;
  const mapped: ChatInput = {
    ...chat,
    messages: json(chat.messages)!,
    tools: json(chat.tools),
    chatTemplateKwargs: json(chat.chatTemplateKwargs),
    chatTemplate: json(chat.chatTemplate),
    mmProcessorKwargs: json(chat.mmProcessorKwargs),
  };
  return { kind: 'chat', chat: mapped, ...(otherwise !== undefined && { otherwise: mapChat(otherwise, map) }) };
}
