// Translates a split regex from Oniguruma's syntax to JavaScript's if both provably match the same.
//
// Both are backtracking engines that try alternatives from the left and match greedy quantifiers as far as possible, so
// equal structure over equal character sets gives equal matches. Sets are written out from the tables of the package
// whose ids must be matched, independent of Node's Unicode version. Everything outside the grammar below (possessive
// quantifiers, lookbehind, anchors, nested sets, ...) is refused.

import { categories, categoryTable, isWhite } from './hugging-face-unicode.ts';

/** Thrown for a pattern outside the grammar; says where. */
export class UnknownPattern extends Error {}

/** Refuses a pattern that can match the empty text. @throws UnknownPattern */
export function translatePattern(source: string): RegExp {
  const translation = new Translation(source);
  const { text, nullable } = translation.alternatives();
  translation.requireEnd();
  if (nullable) throw new UnknownPattern(`${source} can match nothing`);
  return new RegExp(text, 'gu');
}

interface Part {
  readonly text: string;
  readonly nullable: boolean;
}

const codePointCount = 0x110000;
/** One character, or a byte per code point: 1 for members. */
type CharacterSet = number | Uint8Array;

/** Characters that stand for themselves after a backslash. */
const escapable = /^[-!"#$%&()*+,./:;=?@[\\\]^_{|}~]$/;
const controls: Readonly<Record<string, number>> = { n: 0x0a, r: 0x0d, t: 0x09, f: 0x0c };

class Translation {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  requireEnd(): void {
    if (this.#at < this.#source.length) this.#refuse();
  }

  alternatives(): Part {
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    return { text: parts.map(({ text }) => text).join('|'), nullable: parts.some(({ nullable }) => nullable) };
  }

  #sequence(): Part {
    let text = '';
    let nullable = true;
    while (this.#at < this.#source.length && !this.#sees('|') && !this.#sees(')')) {
      const part = this.#quantified();
      text += part.text;
      nullable &&= part.nullable;
    }
    return { text, nullable };
  }

  #quantified(): Part {
    if (this.#take('(?=')) return this.#lookAhead('(?=');
    if (this.#take('(?!')) return this.#lookAhead('(?!');
    const atom = this.#atom();
    const quantifier = /^(?:[?*+]|\{\d+(?:,\d*)?\})/.exec(this.#source.slice(this.#at))?.[0];
    if (quantifier === undefined) {
      if (this.#sees('{')) this.#refuse();
      return atom;
    }
    // An optional part may not be repeated: the engines differ in how they end such a loop.
    if (atom.nullable) this.#refuse();
    this.#at += quantifier.length;
    const lazy = quantifier.length === 1 && this.#take('?') ? '?' : '';
    if (this.#sees('?') || this.#sees('*') || this.#sees('+') || this.#sees('{')) this.#refuse();
    return { text: `${atom.text}${quantifier}${lazy}`, nullable: /^(?:[?*]|\{0)/.test(quantifier) };
  }

  #lookAhead(opening: string): Part {
    const { text } = this.alternatives();
    this.#require(')');
    return { text: `${opening}${text})`, nullable: true };
  }

  #atom(): Part {
    if (this.#take('(?:')) return this.#group();
    if (this.#take('(?i:')) return this.#foldedGroup();
    if (this.#sees('(?')) this.#refuse();
    if (this.#take('(')) return this.#group();
    if (this.#take('[')) return { text: this.#set(), nullable: false };
    if (this.#take('\\')) return { text: setText(this.#escaped()), nullable: false };
    if (/[\^$.*+?{}\]]/.test(this.#source[this.#at]!)) this.#refuse();
    return { text: setText(this.#character()), nullable: false };
  }

  #group(): Part {
    const { text, nullable } = this.alternatives();
    this.#require(')');
    return { text: `(?:${text})`, nullable };
  }

  /**
   * Apostrophes, ASCII letters and `|` only. By case folding, U+017F is the only other character that equals one of
   * these letters (J and K aside), and only the pairs below fold to one character.
   */
  #foldedGroup(): Part {
    const content = /^[|'a-zA-Z]*(?=\))/.exec(this.#source.slice(this.#at))?.[0] ?? this.#refuse();
    if (/[jk]|s[st]|f[fil]/i.test(content)) this.#refuse();
    this.#at += content.length + 1;
    const text = content.replace(
      /[a-z]/gi,
      (letter) => `[${letter.toLowerCase()}${letter.toUpperCase()}${/s/i.test(letter) ? '\\u017f' : ''}]`,
    );
    return { text: `(?:${text})`, nullable: content.split('|').includes('') };
  }

  /** After the opening bracket. */
  #set(): string {
    const negated = this.#take('^');
    const members = new Uint8Array(codePointCount);
    if (this.#sees(']')) this.#refuse();
    while (!this.#take(']')) {
      if (this.#sees('[') || this.#sees('&&')) this.#refuse();
      const first = this.#member();
      if (this.#sees('-') && !this.#sees('-]')) {
        this.#at++;
        const last = this.#member();
        if (typeof first !== 'number' || typeof last !== 'number' || last < first) return this.#refuse();
        members.fill(1, first, last + 1);
      } else if (typeof first === 'number') {
        members[first] = 1;
      } else {
        for (let codePoint = 0; codePoint < codePointCount; codePoint++) members[codePoint]! |= first[codePoint]!;
      }
    }
    return setText(negated ? complement(members) : members);
  }

  #member(): CharacterSet {
    return this.#take('\\') ? this.#escaped() : this.#character();
  }

  /** The characters that an escape matches; after the backslash. */
  #escaped(): CharacterSet {
    const character = this.#source[this.#at++] ?? this.#refuse();
    if (controls[character] !== undefined) return controls[character];
    if (escapable.test(character)) return character.charCodeAt(0);
    switch (character) {
      case 's':
        return whiteCharacters();
      case 'S':
        return complement(whiteCharacters());
      case 'p':
      case 'P': {
        const name = /^\{([A-Z][a-z]?)\}/.exec(this.#source.slice(this.#at))?.[1] ?? this.#refuse();
        this.#at += name.length + 2;
        const members = categoryCharacters(name) ?? this.#refuse();
        return character === 'p' ? members : complement(members);
      }
      default:
        return this.#refuse();
    }
  }

  #character(): number {
    const codePoint = this.#source.codePointAt(this.#at) ?? this.#refuse();
    this.#at += codePoint > 0xffff ? 2 : 1;
    return codePoint;
  }

  #sees(text: string): boolean {
    return this.#source.startsWith(text, this.#at);
  }

  #take(text: string): boolean {
    if (!this.#sees(text)) return false;
    this.#at += text.length;
    return true;
  }

  #require(text: string): void {
    if (!this.#take(text)) this.#refuse();
  }

  #refuse(): never {
    throw new UnknownPattern(`${this.#source} at ${this.#at}`);
  }
}

function complement(members: Uint8Array): Uint8Array {
  return members.map((member) => 1 - member);
}

function whiteCharacters(): Uint8Array {
  return Uint8Array.from({ length: codePointCount }, (_, codePoint) => Number(isWhite(codePoint)));
}

/** @param name a category (`Lu`) or a group of categories (`L`) */
function categoryCharacters(name: string): Uint8Array | undefined {
  const wanted = categories.map((category) => Number(category === name || category[0] === name));
  return wanted.includes(1) ? categoryTable().map((category) => wanted[category]!) : undefined;
}

/** A JavaScript character set. */
function setText(members: CharacterSet): string {
  if (typeof members === 'number') return `\\u{${members.toString(16)}}`;
  let text = '';
  for (let from = members.indexOf(1); from !== -1; from = members.indexOf(1, from)) {
    let to = members.indexOf(0, from);
    if (to === -1) to = codePointCount;
    text += `\\u{${from.toString(16)}}${to - from > 1 ? `-\\u{${(to - 1).toString(16)}}` : ''}`;
    from = to;
  }
  return `[${text}]`;
}
