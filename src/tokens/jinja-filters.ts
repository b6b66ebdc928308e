// The filters of a chat template (`value | name(...)`), as jinja and transformers define them.

import { asText, attributeOf, capitalized, hasUnusualLines, replaceText, sorted, stripText } from './jinja-methods.ts';
import { findTest } from './jinja-tests.ts';
import {
  asCount,
  compare,
  isInteger,
  isNumeric,
  itemAt,
  itemsOf,
  type Kwargs,
  lengthOf,
  pythonError,
  truth,
} from './jinja-values.ts';
import { JsonFloat } from './json-values.ts';
import { dumpJson, NotRendered, PythonTuple, plainDump, strText } from './python-text.ts';
import type { TemplateWork } from './template-work.ts';

export type Filter = (value: unknown, args: readonly unknown[], kwargs: Kwargs, work: TemplateWork) => unknown;

/** @throws NotRendered if jinja's behaviour is not known */
export function findFilter(name: string): Filter {
  const filter = filters.get(name);
  if (filter !== undefined) return filter;
  return () => {
    throw new NotRendered(`the filter ${name}`);
  };
}

const length: Filter = (value) => lengthOf(value);
const otherwise: Filter = (value, args, kwargs) => {
  const given = args[0] ?? kwargs.get('default_value') ?? '';
  const alsoFalse = truth(args[1] ?? kwargs.get('boolean'));
  return value === undefined || (alsoFalse && !truth(value)) ? given : value;
};

/** Applies Python's `str`, then a function of the text. */
const ofText =
  (change: (text: string) => string): Filter =>
  (value, _args, _kwargs, work) => {
    const text = strText(value, work);
    work.write(text.length);
    return change(text);
  };

const filters: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  ['length', length],
  ['count', length],
  ['default', otherwise],
  ['d', otherwise],
  ['safe', (value) => value],
  ['string', (value, _args, _kwargs, work) => strText(value, work)],
  ['lower', ofText((text) => text.toLowerCase())],
  ['upper', ofText((text) => text.toUpperCase())],
  ['capitalize', ofText(capitalized)],
  ['title', ofText((text) => text.replace(/[^-\s({[<]+/g, capitalized))],
  [
    'trim',
    (value, args, kwargs, work) => {
      const characters = args[0] ?? kwargs.get('chars') ?? null;
      const text = strText(value, work);
      work.read(text.length);
      return stripText(text, 'both', characters === null ? null : asText(characters));
    },
  ],
  ['tojson', tojson],
  ['indent', indent],
  [
    'replace',
    (value, [before, after, count], kwargs, work) =>
      replaceText(strText(value, work), asText(before), asText(after), count ?? kwargs.get('count'), work),
  ],
  ['join', join],
  ['list', (value, _args, _kwargs, work) => [...itemsOf(value, work)]],
  [
    'first',
    (value, _args, _kwargs, work) => (typeof value === 'string' ? itemAt(value, 0, work) : itemsOf(value, work)[0]),
  ],
  ['last', (value, _args, _kwargs, work) => itemsOf(value, work).at(-1)],
  [
    'items',
    (value, _args, _kwargs, work) => {
      if (value === undefined) return [];
      if (!(value instanceof Map)) throw pythonError('items of a value that is not a mapping');
      work.visit(value.size);
      return Array.from(value, ([name, member]) => PythonTuple.of(name, member));
    },
  ],
  ['dictsort', dictsort],
  [
    'reverse',
    (value, _args, _kwargs, work) => {
      const items = [...itemsOf(value, work)].reverse();
      return typeof value === 'string' ? items.join('') : items;
    },
  ],
  ['sort', sort],
  ['unique', unique],
  ['map', map],
  ['select', (value, args, _kwargs, work) => select(value, null, args, true, work)],
  ['reject', (value, args, _kwargs, work) => select(value, null, args, false, work)],
  ['selectattr', (value, [name, ...args], _kwargs, work) => select(value, asText(name), args, true, work)],
  ['rejectattr', (value, [name, ...args], _kwargs, work) => select(value, asText(name), args, false, work)],
  ['abs', (value) => absolute(value)],
  ['int', (value, args) => toInteger(value, args[0] ?? 0)],
  ['float', (value, args) => toFloat(value, args[0] ?? new JsonFloat(0))],
  ['max', (value, _args, _kwargs, work) => extreme(value, 1, work)],
  ['min', (value, _args, _kwargs, work) => extreme(value, -1, work)],
]);

function tojson(value: unknown, args: readonly unknown[], kwargs: Kwargs, work: TemplateWork): string {
  const take = (index: number, name: string): unknown => args[index] ?? kwargs.get(name) ?? null;
  for (const name of kwargs.keys()) {
    if (!['ensure_ascii', 'indent', 'separators', 'sort_keys'].includes(name))
      throw pythonError(`tojson has no argument ${name}`);
  }
  const separators = take(2, 'separators');
  const [itemSeparator, keySeparator] = Array.isArray(separators) ? separators.map(asText) : [];
  const indentation = indentationOf(take(1, 'indent'));
  return dumpJson(
    value,
    {
      ...plainDump,
      ensureAscii: truth(take(0, 'ensure_ascii')),
      indent: indentation,
      itemSeparator: itemSeparator ?? (indentation === null ? ', ' : ','),
      keySeparator: keySeparator ?? ': ',
      sortKeys: truth(take(3, 'sort_keys')),
    },
    work,
  );
}

/** Templates never indent by more. */
const indentMax = 64;

function indentationOf(value: unknown): string | null {
  if (value === null) return null;
  if (typeof value === 'string' && value.length <= indentMax) return value;
  const width = asCount(value, 'the indent of tojson');
  if (width > indentMax) throw new NotRendered('an indent that wide');
  return ' '.repeat(Math.max(0, width));
}

function indent(value: unknown, args: readonly unknown[], kwargs: Kwargs, work: TemplateWork): string {
  const space = indentationOf(args[0] ?? kwargs.get('width') ?? 4) ?? '';
  const first = truth(args[1] ?? kwargs.get('first'));
  const blank = truth(args[2] ?? kwargs.get('blank'));
  const text = asText(value);
  work.write(text.length);
  const lines = text.split('\n');
  work.write(lines.length * space.length);
  if (hasUnusualLines(text)) throw new NotRendered('indent of text with unusual line ends');
  return lines.map((line, i) => ((i > 0 || first) && (line !== '' || blank) ? space + line : line)).join('\n');
}

function join(value: unknown, args: readonly unknown[], kwargs: Kwargs, work: TemplateWork): string {
  const separator = strText(args[0] ?? kwargs.get('d') ?? '', work);
  const attribute = args[1] ?? kwargs.get('attribute') ?? null;
  const items = itemsOf(value, work).map((item) => (attribute === null ? item : deepAttribute(item, attribute)));
  const texts = items.map((item) => strText(item, work));
  work.write(texts.reduce((length, text) => length + text.length + separator.length, 0));
  return texts.join(separator);
}

function dictsort(value: unknown, args: readonly unknown[], kwargs: Kwargs, work: TemplateWork): unknown[] {
  if (!(value instanceof Map)) throw pythonError('dictsort of a value that is not a mapping');
  const caseSensitive = truth(args[0] ?? kwargs.get('case_sensitive'));
  const by = args[1] ?? kwargs.get('by') ?? 'key';
  const reverse = truth(args[2] ?? kwargs.get('reverse'));
  work.visit(value.size * 4);
  const index = by === 'value' ? 1 : 0;
  const members = Array.from(value, ([name, member]) => PythonTuple.of(name, member));
  return sorted(members, (pair) => folded((pair as PythonTuple)[index], caseSensitive), reverse);
}

function folded(value: unknown, caseSensitive: boolean): unknown {
  return typeof value === 'string' && !caseSensitive ? value.toLowerCase() : value;
}

function sort(value: unknown, args: readonly unknown[], kwargs: Kwargs, work: TemplateWork): unknown[] {
  const reverse = truth(args[0] ?? kwargs.get('reverse'));
  const caseSensitive = truth(args[1] ?? kwargs.get('case_sensitive'));
  const attribute = args[2] ?? kwargs.get('attribute') ?? null;
  const items = itemsOf(value, work);
  work.visit(items.length * 16);
  const key = (item: unknown): unknown =>
    folded(attribute === null ? item : deepAttribute(item, attribute), caseSensitive);
  return sorted(items, key, reverse);
}

function unique(value: unknown, args: readonly unknown[], kwargs: Kwargs, work: TemplateWork): unknown[] {
  const caseSensitive = truth(args[0] ?? kwargs.get('case_sensitive'));
  if ((args[1] ?? kwargs.get('attribute')) !== undefined) throw new NotRendered('unique by an attribute');
  const seen = new Set<unknown>();
  return itemsOf(value, work).filter((item) => {
    work.step();
    if (typeof item !== 'string') throw new NotRendered('unique of values that are not texts');
    const key = folded(item, caseSensitive);
    return !seen.has(key) && seen.add(key);
  });
}

function map(value: unknown, args: readonly unknown[], kwargs: Kwargs, work: TemplateWork): unknown[] {
  const items = itemsOf(value, work);
  work.visit(items.length);
  const attribute = kwargs.get('attribute');
  if (attribute !== undefined) {
    const otherwise = kwargs.get('default');
    return items.map((item) => deepAttribute(item, attribute) ?? otherwise);
  }
  const [name, ...more] = args;
  const filter = findFilter(asText(name));
  return items.map((item) => filter(item, more, kwargs, work));
}

function select(
  value: unknown,
  attribute: string | null,
  args: readonly unknown[],
  wanted: boolean,
  work: TemplateWork,
): unknown[] {
  const [name, ...more] = args;
  const test = name === undefined ? truth : findTest(asText(name));
  return itemsOf(value, work).filter((item) => {
    work.step();
    return test(attribute === null ? item : deepAttribute(item, attribute), more, work) === wanted;
  });
}

/** `a.b` goes two levels deep; a number is an index. */
function deepAttribute(value: unknown, path: unknown): unknown {
  let found = value;
  for (const name of String(path).split('.')) {
    // Jinja tries an item first here, then an attribute.
    if (found instanceof Map && found.has(name)) found = found.get(name);
    else if (Array.isArray(found) && /^\d+$/.test(name)) found = found[Number(name)];
    else found = attributeOf(found, name);
  }
  return found;
}

function absolute(value: unknown): unknown {
  if (value instanceof JsonFloat) return new JsonFloat(Math.abs(value.value));
  if (!isInteger(value)) throw pythonError('abs of a value that is not a number');
  return value < 0 ? -value : value;
}

function toInteger(value: unknown, otherwise: unknown): unknown {
  if (isInteger(value)) return value;
  if (typeof value === 'boolean') return Number(value);
  const number = value instanceof JsonFloat ? value.value : typeof value === 'string' ? integerIn(value) : Number.NaN;
  if (Number.isNaN(number)) return otherwise;
  if (!Number.isSafeInteger(Math.trunc(number))) throw new NotRendered('an integer that large');
  return Math.trunc(number) + 0;
}

function integerIn(text: string): number {
  const digits = stripText(text, 'both', null);
  if (/^[+-]?\d+(\.\d*)?$/.test(digits)) return Number(digits);
  if (/^[\w+.-]*\d[\w+.-]*$/.test(digits)) throw new NotRendered('a number in a text');
  return Number.NaN;
}

function toFloat(value: unknown, otherwise: unknown): unknown {
  if (value instanceof JsonFloat) return value;
  if (isNumeric(value)) return new JsonFloat(Number(value));
  if (typeof value !== 'string') return otherwise;
  if (/^\s*[+-]?\d+(\.\d*)?\s*$/.test(value)) return new JsonFloat(Number(value));
  if (/\d|inf|nan/i.test(value)) throw new NotRendered('a number in a text');
  return otherwise;
}

function extreme(value: unknown, sign: 1 | -1, work: TemplateWork): unknown {
  const items = itemsOf(value, work);
  work.visit(items.length);
  let best = items[0];
  for (const item of items) {
    const [one, other] = [folded(item, false), folded(best, false)];
    if (Math.sign(compare(one, other)) === sign) best = item;
  }
  return best;
}
