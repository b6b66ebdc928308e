// Texts of the gateway bench: prose and technical text, made from a seed.

import { Random } from '../../src/core/index.ts';
import type { BuiltinTokenizer } from '../../src/tokens/index.ts';

export const textKinds = ['prose', 'technical'] as const;
export type TextKind = (typeof textKinds)[number];

/** Distinct words that prose is drawn from. */
const proseWords = 40_000;
/** One in this many joins two words of the vocabulary, so that a word has about 1.3 tokens, as in English. */
const compoundEvery = 3;
const sentenceWordsMin = 6;
const sentenceWordsSpan = 18;

/** Writes texts of a given number of words. Two writers with the same seed write the same. */
export class TextWriter {
  readonly #kind: TextKind;
  readonly #words: readonly string[];
  readonly #random: Random;

  constructor(kind: TextKind, words: readonly string[], seed: number) {
    this.#kind = kind;
    this.#words = words;
    this.#random = new Random(seed);
  }

  write(wordCount: number): string {
    return this.#kind === 'prose' ? this.#prose(wordCount) : this.#technical(wordCount);
  }

  /** By Zipf's law: a word's frequency is inverse to its rank. */
  #word(): string {
    return this.#words[Math.floor(this.#words.length ** this.#random.float())]!;
  }

  /** All words are equally likely. */
  #rareWord(): string {
    return this.#words[this.#random.below(this.#words.length)]!;
  }

  #prose(wordCount: number): string {
    const parts: string[] = [];
    for (let left = wordCount; left > 0; ) {
      const length = Math.min(left, sentenceWordsMin + this.#random.below(sentenceWordsSpan));
      const sentence = Array.from({ length }, () => this.#word());
      sentence[0] = capitalized(sentence[0]!);
      parts.push(`${sentence.join(' ')}.`);
      left -= length;
    }
    return parts.join(' ');
  }

  /** Markdown with headings, lists, code and numbers. */
  #technical(wordCount: number): string {
    const lines: string[] = [];
    for (let left = wordCount; left > 0; ) {
      const line = this.#line();
      const words = line.trim().split(' ');
      lines.push(words.length <= left ? line : words.slice(0, left).join(' '));
      left -= words.length;
    }
    return lines.join('\n');
  }

  #line(): string {
    const { name, number, value } = this;
    switch (this.#random.below(8)) {
      case 0:
        return `## ${capitalized(this.#word())} ${this.#word()} ${number()}`;
      case 1:
        return `- \`${name()}\`: ${this.#word()} ${this.#word()} ${number()} (${value()})`;
      case 2:
        return `  const ${name()} = ${name()}(${value()}, ${value()});`;
      case 3:
        return `  if (${name()}.${this.#rareWord()} !== ${value()}) return ${name()}[${number()}];`;
      case 4:
        return `| ${name()} | ${number()} | ${number()} | ${this.#word()} |`;
      case 5:
        return `2026-11-${10 + this.#random.below(19)}T0${this.#random.below(10)}:00:00Z ${name()} took ${number()} ms, ${value()}`;
      default:
        return `${capitalized(this.#word())} ${this.#word()} ${this.#word()} ${name()} ${this.#word()} ${this.#rareWord()}.`;
    }
  }

  readonly name = (): string => this.#rareWord() + capitalized(this.#rareWord());

  readonly number = (): string =>
    this.#random.below(2) === 0 ? String(this.#random.below(1_000_000)) : (this.#random.float() * 1000).toFixed(2);

  readonly value = (): string =>
    this.#random.below(2) === 0 ? `0x${this.#random.uint32().toString(16)}` : `'${this.#rareWord()}_${this.number()}'`;
}

/** Words of prose, the most frequent first: lower-case words of the vocabulary, in its order, and compounds of two. */
export function wordsOf(tokenizer: BuiltinTokenizer): string[] {
  const single: string[] = [];
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    const text = tokenizer.decode([id]);
    if (/^ [a-z]{2,}$/.test(text)) single.push(text.slice(1));
  }
  const words = new Set<string>();
  for (let at = 0; words.size < proseWords; at++) {
    const fromVocabulary = at % compoundEvery > 0 || at < 300 ? single[at] : undefined;
    words.add(fromVocabulary ?? single[at % single.length]! + single[(at * 7919 + 300) % single.length]!);
  }
  return [...words];
}

function capitalized(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
