// Attributes and items of values in a chat template: `a.b`, `a['b']`, and the methods of Python's texts and dictionaries.

import {
  asCount,
  Callable,
  compare,
  equals,
  isIn,
  itemAt,
  itemsOf,
  type Kwargs,
  Namespace,
  pythonError,
} from './jinja-values.ts';
import { hasSurrogates, NotRendered, PythonTuple, textLength } from './python-text.ts';
import type { TemplateWork } from './template-work.ts';

/** The `loop` variable of a loop. */
export class LoopState {
  index0 = 0;
  readonly items: readonly unknown[];

  constructor(items: readonly unknown[]) {
    this.items = items;
  }

  attribute(name: string): unknown {
    const { index0, items } = this;
    switch (name) {
      case 'index':
        return index0 + 1;
      case 'index0':
        return index0;
      case 'revindex':
        return items.length - index0;
      case 'revindex0':
        return items.length - index0 - 1;
      case 'first':
        return index0 === 0;
      case 'last':
        return index0 === items.length - 1;
      case 'length':
        return items.length;
      case 'previtem':
        return index0 === 0 ? undefined : items[index0 - 1];
      case 'nextitem':
        return items[index0 + 1];
      case 'cycle':
        return new Callable((args) => {
          if (args.length === 0) throw pythonError('loop.cycle without items');
          return args[index0 % args.length];
        });
      default:
        throw new NotRendered(`loop.${name}`);
    }
  }
}

/** `value.name`: Python's own attribute wins over a member of that name. */
export function attributeOf(value: unknown, name: string): unknown {
  if (value === undefined) throw pythonError(`'${name}' of an undefined value`);
  if (value instanceof Map) {
    const own = dictionaryMethods.get(name);
    return own === undefined ? value.get(name) : own(value as ReadonlyMap<string, unknown>);
  }
  if (typeof value === 'string') return textMethod(value, name);
  if (value instanceof Namespace) return value.members.get(name);
  if (value instanceof LoopState) return value.attribute(name);
  if (Array.isArray(value)) return listMethod(value, name);
  if (value === null || typeof value === 'boolean') return undefined;
  throw new NotRendered(`the attribute ${name} of a number or a function`);
}

/** `value[key]`: a member wins over Python's own attribute. */
export function itemOf(value: unknown, key: unknown, work: TemplateWork): unknown {
  if (value === undefined) throw pythonError('an item of an undefined value');
  if ((typeof value === 'string' || Array.isArray(value)) && (typeof key === 'number' || typeof key === 'boolean')) {
    return itemAt(value, Number(key), work);
  }
  if (typeof key !== 'string') return undefined;
  if (value instanceof Map && value.has(key)) return value.get(key);
  return attributeOf(value, key);
}

type Method = (args: readonly unknown[], kwargs: Kwargs, work: TemplateWork) => unknown;

const method = (call: Method): Callable => new Callable(call);

/** Attributes that jinja's sandbox hides; they count as undefined. */
const hidden = (): undefined => undefined;

const dictionaryMethods: ReadonlyMap<string, (value: ReadonlyMap<string, unknown>) => unknown> = new Map([
  [
    'items',
    (value) =>
      method((_args, _kwargs, work) => {
        work.visit(value.size);
        return Array.from(value, ([name, member]) => PythonTuple.of(name, member));
      }),
  ],
  ['keys', (value) => method((_args, _kwargs, work) => [...itemsOf(value, work)])],
  [
    'values',
    (value) =>
      method((_args, _kwargs, work) => {
        work.visit(value.size);
        return [...value.values()];
      }),
  ],
  [
    'get',
    (value) =>
      method((args) => {
        const [name, otherwise = null] = args;
        return typeof name === 'string' && value.has(name) ? value.get(name) : otherwise;
      }),
  ],
  ['copy', (value) => method(() => value)],
  ['fromkeys', () => unsupported('dict.fromkeys')],
  ...['clear', 'pop', 'popitem', 'setdefault', 'update'].map((name) => [name, hidden] as const),
] as [string, (value: ReadonlyMap<string, unknown>) => unknown][]);

function unsupported(name: string): Callable {
  return method(() => {
    throw new NotRendered(`the method ${name}`);
  });
}

const hiddenListMethods: ReadonlySet<string> = new Set('append clear extend insert pop remove reverse sort'.split(' '));

function listMethod(value: readonly unknown[], name: string): unknown {
  if (hiddenListMethods.has(name)) return undefined;
  switch (name) {
    case 'copy':
      return method(() => value);
    case 'count':
      return method(([item], _kwargs, work) => value.filter((each) => equals(each, item, work)).length);
    case 'index':
      return method(([item], _kwargs, work) => {
        if (!isIn(item, value, work)) throw pythonError('index of an item that is not in the list');
        return value.findIndex((each) => equals(each, item, work));
      });
    default:
      return undefined;
  }
}

/** Python's whitespace. */
const blanks = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const blankRun = new RegExp(`[${blanks}]+`, 'g');
const blank = new RegExp(`[${blanks}]`);

/** @param characters null: whitespace */
export function stripText(text: string, sides: 'both' | 'left' | 'right', characters: string | null): string {
  if (characters !== null && hasSurrogates(characters))
    throw new NotRendered('strip with characters beyond the first plane');
  const drops = (character: string): boolean =>
    characters === null ? blank.test(character) : characters.includes(character);
  let from = 0;
  let to = text.length;
  if (sides !== 'right') while (from < to && drops(text[from]!)) from++;
  if (sides !== 'left') while (to > from && drops(text[to - 1]!)) to--;
  return text.slice(from, to);
}

type TextMethod = (text: string, args: readonly unknown[], kwargs: Kwargs, work: TemplateWork) => unknown;

const strip =
  (sides: 'both' | 'left' | 'right'): TextMethod =>
  (text, [characters = null]) =>
    stripText(text, sides, characters === null ? null : asText(characters));

const startsOrEnds =
  (test: (text: string, part: string) => boolean): TextMethod =>
  (text, args) => {
    if (args.length !== 1) throw new NotRendered('startswith or endswith with bounds');
    const [part] = args;
    return Array.isArray(part) ? part.some((each) => test(text, asText(each))) : test(text, asText(part));
  };

const find =
  (position: (text: string, part: string) => number): TextMethod =>
  (text, args) => {
    if (args.length !== 1) throw new NotRendered('find with bounds');
    const at = position(text, asText(args[0]));
    return at === -1 ? -1 : textLength(text.slice(0, at));
  };

const textMethods: ReadonlyMap<string, TextMethod> = new Map<string, TextMethod>([
  ['strip', strip('both')],
  ['lstrip', strip('left')],
  ['rstrip', strip('right')],
  ['startswith', startsOrEnds((text, part) => text.startsWith(part))],
  ['endswith', startsOrEnds((text, part) => text.endsWith(part))],
  ['find', find((text, part) => text.indexOf(part))],
  ['rfind', find((text, part) => text.lastIndexOf(part))],
  ['count', (text, [part], _kwargs, work) => splitText(text, asText(part), -1, work).length - 1],
  ['lower', (text) => text.toLowerCase()],
  ['upper', (text) => text.toUpperCase()],
  ['capitalize', (text) => capitalized(text)],
  ['title', (text) => titled(text)],
  ['split', (text, args, kwargs, work) => split(text, args, kwargs, work)],
  ['splitlines', (text, args, _kwargs, work) => splitLines(text, args, work)],
  [
    'join',
    (text, [items], _kwargs, work) => {
      const parts = itemsOf(items, work).map(asText);
      work.write(parts.reduce((length, part) => length + part.length + text.length, 0));
      return parts.join(text);
    },
  ],
  [
    'replace',
    (text, [before, after, count], kwargs, work) =>
      replaceText(text, asText(before), asText(after), count ?? kwargs.get('count'), work),
  ],
  ['removeprefix', (text, [part]) => (text.startsWith(asText(part)) ? text.slice(asText(part).length) : text)],
  [
    'removesuffix',
    (text, [part]) => {
      const end = asText(part);
      return end !== '' && text.endsWith(end) ? text.slice(0, -end.length) : text;
    },
  ],
]);

/** Python's other methods, which are not implemented. */
const otherTextMethods: ReadonlySet<string> = new Set(
  (
    'casefold center encode expandtabs format format_map index isalnum isalpha isascii isdecimal isdigit isidentifier ' +
    'islower isnumeric isprintable isspace istitle isupper ljust maketrans partition rindex rjust rpartition rsplit ' +
    'swapcase translate zfill'
  ).split(' '),
);

function textMethod(text: string, name: string): unknown {
  const found = textMethods.get(name);
  if (found !== undefined) {
    return method((args, kwargs, work) => {
      work.read(text.length);
      return found(text, args, kwargs, work);
    });
  }
  return otherTextMethods.has(name) ? unsupported(`str.${name}`) : undefined;
}

export function asText(value: unknown): string {
  if (typeof value !== 'string') throw pythonError('a value is not a text');
  return value;
}

export function capitalized(text: string): string {
  const [first = ''] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

/** Letters after letters are lower case, all others upper case. */
function titled(text: string): string {
  return text.replace(/\p{L}+/gu, (word) => capitalized(word));
}

export function replaceText(text: string, before: string, after: string, count: unknown, work: TemplateWork): string {
  const max = count === undefined || count === null ? -1 : asCount(count, 'the count of replace');
  if (before === '') throw new NotRendered('replace of an empty text');
  const parts = splitText(text, before, max, work);
  work.write(text.length + parts.length * after.length);
  return parts.join(after);
}

/** @param max number of separators used; negative: all */
function splitText(text: string, separator: string, max: number, work: TemplateWork): string[] {
  if (separator === '') throw pythonError('a separator is empty');
  work.read(text.length);
  const parts = bounded(text.split(separator, splitPartsMax + 1), work);
  if (max < 0 || parts.length - 1 <= max) return parts;
  return [...parts.slice(0, max), parts.slice(max).join(separator)];
}

function split(text: string, args: readonly unknown[], kwargs: Kwargs, work: TemplateWork): string[] {
  const separator = args[0] ?? kwargs.get('sep') ?? null;
  const max = asCount(args[1] ?? kwargs.get('maxsplit') ?? -1, 'maxsplit');
  if (separator !== null) return splitText(text, asText(separator), max, work);
  if (max >= 0) throw new NotRendered('split at white space with maxsplit');
  work.read(text.length * 4);
  return bounded(text.split(blankRun, splitPartsMax + 1), work).filter((part) => part !== '');
}

/** Limits the number of parts to what a template may visit. */
const splitPartsMax = 1_000_000;

function bounded(parts: string[], work: TemplateWork): string[] {
  work.visit(parts.length > splitPartsMax ? Number.POSITIVE_INFINITY : parts.length);
  return parts;
}

/** Python's line boundaries. */
const unusualEnds = '\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029';
const lineEnds = new RegExp(`\\r\\n|[\\n${unusualEnds}]`);
const unusualEnd = new RegExp(`[${unusualEnds}]`);

/** Whether a line ends with anything but a line feed. */
export function hasUnusualLines(text: string): boolean {
  return unusualEnd.test(text);
}

function splitLines(text: string, args: readonly unknown[], work: TemplateWork): string[] {
  if (args.length > 0) throw new NotRendered('splitlines with line ends');
  work.read(text.length * 4);
  const lines = bounded(text.split(lineEnds, splitPartsMax + 1), work);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Stable like Python's sorted; refused if values can't be compared. */
export function sorted(items: readonly unknown[], key: (item: unknown) => unknown, reverse: boolean): unknown[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  keyed.sort((one, other) => (reverse ? compare(other.key, one.key) : compare(one.key, other.key)));
  return keyed.map(({ item }) => item);
}
