// Lets JavaScript trim a text as Python strips it, so that a chat template gives the engine's own text.

import type { ChatMessage } from './tokenizer.ts';

/** White space for Python only: separators of files, groups, records and units, and the next line. */
const pythonOnly = ['\u001c', '\u001d', '\u001e', '\u001f', '\u0085'];
/** For JavaScript only: the byte order mark. */
const javaScriptOnly = '\ufeff';

/** White space for both, and rare: enough that some are in no text. */
const spaces = [...'\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u205f\u3000'];
/** White space for neither. */
const solids = [...'\u{f0001}\u{f0002}\u{f0003}'];

const odd = '\u001c\u001d\u001e\u001f\u0085\ufeff';
const oddEdge = new RegExp(`^\\s*[${odd}]|[${odd}]\\s*$`, 'u');
const edges = new RegExp(`^[\\s${odd}]+|[\\s${odd}]+$`, 'gu');

interface Part {
  readonly text?: unknown;
}

/**
 * Contents of messages whose edges JavaScript would trim otherwise than Python, with other characters in place of those
 * on which the two disagree. A template that writes a content as JSON is not served: it would escape the originals.
 */
export class StripAlike {
  readonly #standIns: ReadonlyMap<string, string>;

  private constructor(standIns: ReadonlyMap<string, string>) {
    this.#standIns = standIns;
  }

  /** @returns null where they agree */
  static for(messages: readonly ChatMessage[]): StripAlike | null {
    const texts = messages.flatMap(({ content }) => textsOf(content));
    if (!texts.some((text) => oddEdge.test(text))) return null;
    const isFree = (character: string): boolean => !texts.some((text) => text.includes(character));
    const freeSpaces = spaces.filter(isFree);
    const standIns = new Map([[javaScriptOnly, solids.find(isFree) ?? javaScriptOnly]]);
    for (const [i, character] of pythonOnly.entries()) standIns.set(character, freeSpaces[i] ?? character);
    return new StripAlike(standIns);
  }

  /** What the template is to be given. */
  disguise(messages: readonly ChatMessage[]): ChatMessage[] {
    return messages.map((message) => ({ ...message, content: this.#disguiseContent(message.content) }));
  }

  /** What was disguised comes back, wherever the template has put it. */
  reveal(rendered: string): string {
    let text = rendered;
    for (const [character, standIn] of this.#standIns) text = text.replaceAll(standIn, character);
    return text;
  }

  #disguiseContent(content: unknown): unknown {
    if (typeof content === 'string') return this.#disguiseText(content);
    if (!Array.isArray(content)) return content;
    return content.map((part: Part) =>
      typeof part.text === 'string' ? { ...part, text: this.#disguiseText(part.text) } : part,
    );
  }

  #disguiseText(text: string): string {
    return text.replace(edges, (edge) =>
      Array.from(edge, (character) => this.#standIns.get(character) ?? character).join(''),
    );
  }
}

function textsOf(content: unknown): string[] {
  const parts: readonly unknown[] = Array.isArray(content) ? content.map((part: Part) => part.text) : [content];
  return parts.filter((text) => typeof text === 'string');
}
