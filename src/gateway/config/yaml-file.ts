// A YAML file of limited size, whose parts can be located by line.

import { readFile, stat } from 'node:fs/promises';
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';

const fileBytesMax = 4 * 1024 * 1024;
/** Uses of one anchor; more could make a small file huge. */
const aliasesMax = 100;

export class YamlFile {
  readonly path: string;
  /** Plain objects, arrays, strings, numbers, booleans, null. */
  readonly value: unknown;
  readonly #root: Node | null;
  readonly #lines: LineCounter;

  private constructor(path: string, value: unknown, root: Node | null, lines: LineCounter) {
    this.path = path;
    this.value = value;
    this.#root = root;
    this.#lines = lines;
  }

  /** @throws YamlFileError if the file can't be read or is not YAML */
  static async read(path: string): Promise<YamlFile> {
    let text: string;
    try {
      const { size } = await stat(path);
      if (size > fileBytesMax) throw new YamlFileError(`${path} exceeds ${fileBytesMax} bytes`);
      text = await readFile(path, 'utf8');
    } catch (error) {
      if (error instanceof YamlFileError) throw error;
      throw new YamlFileError(`${path} can't be read: ${(error as Error).message}`);
    }
    return YamlFile.parse(path, text);
  }

  static parse(path: string, text: string): YamlFile {
    const lineCounter = new LineCounter();
    const document = parseDocument(text, { lineCounter, prettyErrors: false });
    const [error] = document.errors;
    if (error !== undefined)
      throw new YamlFileError(`${path}:${lineCounter.linePos(error.pos[0]).line}: ${error.message}`);
    try {
      const value = document.toJS({ maxAliasCount: aliasesMax }) as unknown;
      if (containsItself(value)) throw new Error('an alias stands inside of its own anchor');
      return new YamlFile(path, value, document.contents, lineCounter);
    } catch (failure) {
      throw new YamlFileError(`${path}: ${(failure as Error).message}`);
    }
  }

  /** `FILE:LINE` of the part at `path`, or of its nearest existing parent. */
  where(path: readonly (string | number)[]): string {
    let node = this.#root;
    let offset = node?.range?.[0] ?? 0;
    for (const step of path) {
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && key.value === step);
        if (pair === undefined) break;
        offset = (pair.key as Node).range?.[0] ?? offset;
        node = pair.value as Node | null;
      } else if (isSeq(node) && typeof step === 'number') {
        node = (node.items[step] as Node | undefined) ?? null;
        offset = node?.range?.[0] ?? offset;
      } else break;
    }
    return `${this.path}:${this.#lines.linePos(offset).line}`;
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

/** The message names the file, and the line if there is one. */
export class YamlFileError extends Error {
  override readonly name = 'YamlFileError';
}
