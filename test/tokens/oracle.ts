// js-tiktoken as the oracle for the built-in tokenizer, and the characters on which both must agree.

import { createHash } from 'node:crypto';
import { Tiktoken } from 'js-tiktoken/lite';
import cl100k from 'js-tiktoken/ranks/cl100k_base';
import { letter, newline, number, other, space, tiktokenClasses } from '../../src/tokens/character-classes.ts';

const tiktoken = new Tiktoken(cl100k, { '<|im_start|>': 100264, '<|im_end|>': 100265 });

/** Ids of a text, with added tokens recognized. */
export function oracleIds(text: string): number[] {
  return tiktoken.encode(text, 'all');
}

/** The class of a code point by the regex engine of this Node. */
export function nodeClass(codePoint: number): number {
  const character = String.fromCodePoint(codePoint);
  if (character === '\n' || character === '\r') return newline;
  if (/^\p{L}$/u.test(character)) return letter;
  if (/^\p{N}$/u.test(character)) return number;
  return /^\s$/u.test(character) ? space : other;
}

/** Code points that this Node's Unicode classifies differently from ours, on which the oracle's regex may differ. */
export function disputedCodePoints(): Set<number> {
  const classes = tiktokenClasses();
  const disputed = new Set<number>();
  for (let codePoint = 0; codePoint < classes.length; codePoint++) {
    if (classes[codePoint] !== nodeClass(codePoint)) disputed.add(codePoint);
  }
  return disputed;
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
