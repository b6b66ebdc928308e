// Parses YAML into plain values and the lines on which they stand.

import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';

/** Uses of one anchor; more could make a small file huge. */
const aliasesMax = 100;
/** Far above ten thousand workers with all their settings. */
const valuesMax = 200_000;
const depthMax = 64;

/** Where a value stands: its line, or that of its name, and its parts by name or position. */
export interface Place {
  readonly line: number;
  readonly parts: ReadonlyMap<string | number, Place> | null;
}

export interface ParsedYaml {
  /** Plain objects, arrays, strings, numbers, booleans, null. */
  readonly value: unknown;
  readonly root: Place;
}

/** The message names the file, and the line if there is one. */
export class YamlFileError extends Error {
  override readonly name = 'YamlFileError';
}

/** The time may grow with the square of a text's length. @param path for errors @throws YamlFileError */
export function parseYaml(path: string, text: string): ParsedYaml {
  const lineCounter = new LineCounter();
  const lineOf = (offset: number): number => lineCounter.linePos(offset).line;
  const document = parseDocument(text, { lineCounter, prettyErrors: false });
  const [error] = document.errors;
  if (error !== undefined) throw new YamlFileError(`${path}:${lineOf(error.pos[0])}: ${error.message}`);
  try {
    const root = new Places(lineOf).of(document.contents, document.contents?.range?.[0] ?? 0, 0);
    const value = document.toJS({ maxAliasCount: aliasesMax }) as unknown;
    if (containsItself(value)) throw new Error('an alias stands inside of its own anchor');
    return { value, root };
  } catch (failure) {
    throw new YamlFileError(`${path}: ${(failure as Error).message}`);
  }
}

class Places {
  readonly #lineOf: (offset: number) => number;
  #values = 0;

  constructor(lineOf: (offset: number) => number) {
    this.#lineOf = lineOf;
  }

  /** @param offset where it stands @throws Error if there are too many, or they are nested too deeply */
  of(node: unknown, offset: number, depth: number): Place {
    this.#values += 1;
    if (this.#values > valuesMax) throw new Error(`has more than ${valuesMax} values`);
    if (depth > depthMax) throw new Error(`is nested more than ${depthMax} levels deep`);
    const line = this.#lineOf(offset);
    const parts = new Map<string | number, Place>();
    if (isMap(node)) {
      for (const { key, value } of node.items) {
        if (!isScalar(key) || typeof key.value !== 'string') continue;
        parts.set(key.value, this.of(value, key.range?.[0] ?? offset, depth + 1));
      }
    } else if (isSeq(node)) {
      for (const [index, item] of node.items.entries()) {
        parts.set(index, this.of(item, (item as Node | null)?.range?.[0] ?? offset, depth + 1));
      }
    } else return { line, parts: null };
    return { line, parts };
  }
}

/** O(values), however often aliases use them. */
function containsItself(value: unknown, above = new Set<unknown>(), done = new Set<unknown>()): boolean {
  if (typeof value !== 'object' || value === null || done.has(value)) return false;
  if (above.has(value)) return true;
  above.add(value);
  for (const one of Object.values(value)) if (containsItself(one, above, done)) return true;
  above.delete(value);
  done.add(value);
  return false;
}
