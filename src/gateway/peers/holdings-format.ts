// Bytes of the questions and answers by which a replica gets the index of another: a short text, then words.
//
// question   JSON of `HoldingsQuestion`
// answer     length of the text in bytes (u32 little-endian), JSON of `HoldingsAnswer` padded with blanks to whole
//            words, then the words of a piece: its handles, then its sequence hashes, two words each

import { z } from 'zod';
import { rememberedMax } from '../feeds/feed-memory.ts';

/** Raised when an older replica could misread the bytes, or hashes of blocks change. Others are refused. */
export const holdingsVersion = 1;

const questionBytesMax = 8192;
const answerTextBytesMax = 65_536;
const workerLengthMax = 4096;

const natural = z.int().min(0);

const question = z.discriminatedUnion('kind', [
  z.object({
    version: z.literal(holdingsVersion),
    kind: z.literal('open'),
    worker: z.string().max(workerLengthMax),
    /** -1: any. */
    seqMin: z.int().min(-1),
  }),
  z.object({ version: z.literal(holdingsVersion), kind: z.literal('next'), copy: z.string().max(64), piece: natural }),
]);
export type HoldingsQuestion = z.infer<typeof question>;

const answer = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('opened'),
    copy: z.string().max(64),
    seq: natural,
    blockSize: z.int().min(1).max(65_536),
    entries: natural,
    prints: z.array(z.tuple([natural, natural])).max(rememberedMax),
  }),
  z.object({ kind: z.literal('piece'), isLast: z.boolean() }),
  z.object({ kind: z.literal('refused'), reason: z.string().max(256) }),
]);
export type HoldingsAnswer = z.infer<typeof answer>;

export interface FramedAnswer {
  readonly answer: HoldingsAnswer;
  readonly words: Uint32Array;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const noWords = new Uint32Array(0);

export function writeQuestion(asked: HoldingsQuestion): Uint8Array {
  return encoder.encode(JSON.stringify(asked));
}

/** Null: no question of this version. */
export function readQuestion(bytes: Uint8Array): HoldingsQuestion | null {
  if (bytes.length > questionBytesMax) return null;
  return question.safeParse(parsed(bytes)).data ?? null;
}

export function writeAnswer(said: HoldingsAnswer, words: Uint32Array = noWords): Uint8Array {
  const text = encoder.encode(JSON.stringify(said));
  const textBytes = (text.length + 3) & ~3;
  const bytes = new Uint8Array(4 + textBytes + 4 * words.length).fill(0x20, 4, 4 + textBytes);
  new DataView(bytes.buffer).setUint32(0, textBytes, true);
  bytes.set(text, 4);
  bytes.set(new Uint8Array(words.buffer, words.byteOffset, words.byteLength), 4 + textBytes);
  return bytes;
}

/** Null: no answer of this form. The words are copied. */
export function readAnswer(bytes: Uint8Array): FramedAnswer | null {
  if (bytes.length < 4 || bytes.length % 4 !== 0) return null;
  const textBytes = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (textBytes > answerTextBytesMax || textBytes % 4 !== 0 || 4 + textBytes > bytes.length) return null;
  const { data } = answer.safeParse(parsed(bytes.subarray(4, 4 + textBytes)));
  if (data === undefined) return null;
  // Not `slice`: that of a Buffer does not copy.
  const words = new Uint32Array((bytes.length - 4 - textBytes) / 4);
  new Uint8Array(words.buffer).set(bytes.subarray(4 + textBytes));
  return { answer: data, words };
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    return null;
  }
}
