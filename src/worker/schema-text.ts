// Generates JSON that conforms to a JSON schema, like an engine with grammar-constrained decoding.

import type { Random } from '../core/random.ts';
import { unservable } from './api-error.ts';

/** Depth of a schema and of its generated value. Anything deeper is refused. */
export const schemaDepthMax = 32;
/** Values in a schema: objects, lists, texts and numbers. */
export const schemaNodesMax = 2048;
/** Values generated, including those tried and dropped. */
export const schemaValuesMax = 4096;
export const schemaTextMax: number = 64 * 1024;

/** Unsupported keywords that restrict the valid values. */
const unsupported = [
  'pattern',
  'patternProperties',
  'propertyNames',
  'not',
  'if',
  'dependentSchemas',
  'dependentRequired',
  'contains',
  'uniqueItems',
  'minProperties',
  'maxProperties',
  'unevaluatedProperties',
  'unevaluatedItems',
  '$dynamicRef',
] as const;

/** One text per string format. */
const formats: Readonly<Record<string, string>> = {
  'date-time': '2025-01-31T12:00:00Z',
  date: '2025-01-31',
  time: '12:00:00Z',
  duration: 'P1D',
  email: 'user@example.com',
  hostname: 'example.com',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
  uri: 'https://example.com/',
  uuid: '123e4567-e89b-42d3-a456-426614174000',
};
const words = ['blue', 'river', 'seven', 'paper', 'north', 'stone', 'cloud', 'green'];

/** Keywords that may occur in several joined schemas. */
const added: ReadonlySet<string> = new Set(['properties', 'required', 'title', 'description', 'default', 'examples']);

type Schema = Readonly<Record<string, unknown>>;

/** @param param request field that contains the schema @throws ApiError 400 for an unsupported schema */
export function textForSchema(schema: unknown, random: Random, param: string): string {
  return new SchemaWriter(schema, random, param).text();
}

class SchemaWriter {
  readonly #root: unknown;
  readonly #random: Random;
  readonly #param: string;
  readonly #sizes = new Map<unknown, number>();
  #values = 0;
  #length = 0;

  constructor(root: unknown, random: Random, param: string) {
    this.#root = root;
    this.#random = random;
    this.#param = param;
  }

  text(): string {
    this.#checkSize();
    return this.#value(this.#root, 0);
  }

  #value(given: unknown, depth: number): string {
    if (++this.#values > schemaValuesMax) this.#refuse(`needs more than ${schemaValuesMax} values`);
    if (depth > schemaDepthMax) this.#refuse(`is nested deeper than ${schemaDepthMax}`);
    if (given === true) return this.#emit('true');
    const schema = this.#object(given);
    const found = unsupported.find((keyword) => Object.hasOwn(schema, keyword));
    if (found !== undefined) this.#refuse(`has the keyword ${found}, which the simulated engine does not support`);
    if (typeof schema['$ref'] === 'string') {
      return this.#value({ ...this.#resolve(schema['$ref']), ...without(schema, '$ref') }, depth + 1);
    }
    if ('const' in schema) return this.#emit(JSON.stringify(schema['const']));
    if (Array.isArray(schema['enum'])) return this.#emit(JSON.stringify(this.#pick(schema['enum'], 'enum')));
    if (Array.isArray(schema['allOf'])) return this.#value(this.#joined(schema, schema['allOf']), depth + 1);
    for (const either of ['anyOf', 'oneOf'] as const) {
      if (!Array.isArray(schema[either])) continue;
      const branch = this.#branch(schema[either], either, depth);
      return this.#value(this.#joined(without(schema, either), [branch]), depth + 1);
    }
    return this.#ofType(this.#type(schema, depth), schema, depth);
  }

  /** Chooses a branch: the simplest one at depth, so that a recursive schema ends. */
  #branch(branches: readonly unknown[], keyword: string, depth: number): unknown {
    if (depth < 8) return this.#pick(branches, keyword);
    const sizes = branches.map((branch) => this.#size(branch));
    return branches[sizes.indexOf(Math.min(...sizes))];
  }

  #size(schema: unknown): number {
    const size = this.#sizes.get(schema) ?? JSON.stringify(schema).length;
    this.#sizes.set(schema, size);
    return size;
  }

  /** Checks size and depth before anything recurses into the schema. */
  #checkSize(): void {
    let level: unknown[] = [this.#root];
    let nodes = 0;
    for (let depth = 0; level.length > 0; depth++) {
      nodes += level.length;
      if (nodes > schemaNodesMax) this.#refuse(`has more than ${schemaNodesMax} values`);
      if (depth > 2 * schemaDepthMax) this.#refuse(`is nested deeper than ${schemaDepthMax}`);
      level = level.flatMap((node) => (typeof node === 'object' && node !== null ? Object.values(node) : []));
    }
  }

  #type(schema: Schema, depth: number): unknown {
    const { type } = schema;
    if (Array.isArray(type)) return depth >= 8 && type.includes('null') ? 'null' : this.#pick(type, 'type');
    if (type !== undefined) return type;
    if ('properties' in schema || 'required' in schema || 'additionalProperties' in schema) return 'object';
    if ('items' in schema || 'prefixItems' in schema) return 'array';
    return 'minimum' in schema || 'maximum' in schema || 'multipleOf' in schema ? 'number' : 'string';
  }

  #ofType(type: unknown, schema: Schema, depth: number): string {
    switch (type) {
      case 'object':
        return this.#objectText(schema, depth);
      case 'array':
        return this.#arrayText(schema, depth);
      case 'string':
        return this.#emit(JSON.stringify(this.#string(schema)));
      case 'integer':
      case 'number':
        return this.#emit(String(this.#number(schema, type === 'integer')));
      case 'boolean':
        return this.#emit(this.#random.below(2) === 0 ? 'false' : 'true');
      case 'null':
        return this.#emit('null');
      default:
        return this.#refuse(`has an unknown type: ${JSON.stringify(type)?.slice(0, 40)}`);
    }
  }

  #objectText(schema: Schema, depth: number): string {
    const properties = schema['properties'] === undefined ? {} : this.#object(schema['properties']);
    const required = Array.isArray(schema['required']) ? schema['required'].map(String) : [];
    const names = new Set(required);
    // Omit optional properties at depth, so that a recursive schema ends.
    if (depth < 4) for (const name of Object.keys(properties)) if (properties[name] !== false) names.add(name);
    const parts: string[] = [];
    for (const name of names) {
      const additional = schema['additionalProperties'] ?? true;
      const value = this.#value(Object.hasOwn(properties, name) ? properties[name] : additional, depth + 1);
      parts.push(`${this.#emit(JSON.stringify(name))}: ${value}`);
    }
    return `{${parts.join(', ')}}`;
  }

  #arrayText(schema: Schema, depth: number): string {
    const first = Array.isArray(schema['prefixItems']) ? schema['prefixItems'] : [];
    const min = this.#bound(schema, 'minItems') ?? 0;
    const max = this.#bound(schema, 'maxItems') ?? Number.POSITIVE_INFINITY;
    const items = schema['items'] ?? true;
    const wished = items === false ? first.length : Math.max(first.length, depth < 8 ? 2 : 0);
    const count = Math.max(min, Math.min(max, wished));
    if (count > max || count > schemaValuesMax) this.#refuse('asks for an array that no value satisfies');
    const parts = Array.from({ length: count }, (_, at) => this.#value(first[at] ?? items, depth + 1));
    return `[${parts.join(', ')}]`;
  }

  #string(schema: Schema): string {
    const format = schema['format'];
    const min = this.#bound(schema, 'minLength') ?? 0;
    const max = this.#bound(schema, 'maxLength') ?? Number.POSITIVE_INFINITY;
    if (min > max || min > schemaTextMax) this.#refuse('asks for a text that no value satisfies');
    let text = typeof format === 'string' && Object.hasOwn(formats, format) ? formats[format]! : '';
    if (text.length > max) this.#refuse('asks for a text that no value satisfies');
    if (text === '') text = this.#pick(words, 'words');
    while (text.length < min) text += ` ${this.#pick(words, 'words')}`;
    return text.slice(0, max);
  }

  #number(schema: Schema, isInteger: boolean): number {
    const step = this.#bound(schema, 'multipleOf') ?? (isInteger ? 1 : 0.5);
    if (step === 0 || (isInteger && !Number.isInteger(step))) this.#refuse('asks for a number that no value satisfies');
    const [lowest, highest] = [this.#bound(schema, 'minimum'), this.#bound(schema, 'maximum')];
    const [above, below] = [this.#bound(schema, 'exclusiveMinimum'), this.#bound(schema, 'exclusiveMaximum')];
    let from = lowest === null ? Number.NEGATIVE_INFINITY : Math.ceil(lowest / step);
    if (above !== null) from = Math.max(from, Math.floor(above / step) + 1);
    let to = highest === null ? Number.POSITIVE_INFINITY : Math.floor(highest / step);
    if (below !== null) to = Math.min(to, Math.ceil(below / step) - 1);
    if (from > to) this.#refuse('asks for a number that no value satisfies');
    if (from === Number.NEGATIVE_INFINITY) from = to === Number.POSITIVE_INFINITY ? 0 : Math.min(0, to);
    const value = (from + this.#random.below(Math.min(100, Math.max(1, to - from + 1)))) * step;
    return Object.is(value, -0) ? 0 : value;
  }

  #bound(schema: Schema, keyword: string): number | null {
    const value = schema[keyword];
    if (value === undefined) return null;
    return typeof value === 'number' && Number.isFinite(value)
      ? value
      : this.#refuse(`has a ${keyword} that is not a number`);
  }

  /** Joins schemas of which all apply: properties and required names add up; no other keyword may occur twice. */
  #joined(schema: Schema, others: readonly unknown[]): Schema {
    let joined: Schema = without(schema, 'allOf');
    for (const other of others) {
      let more = other === true ? {} : this.#object(other);
      if (typeof more['$ref'] === 'string') more = { ...this.#resolve(more['$ref']), ...without(more, '$ref') };
      const twice = Object.keys(more).find(
        (keyword) =>
          keyword in joined && !added.has(keyword) && this.#size(joined[keyword]) !== this.#size(more[keyword]),
      );
      if (twice !== undefined) this.#refuse(`gives ${twice} twice, which the simulated engine does not support`);
      if (joined['additionalProperties'] === false || more['additionalProperties'] === false) {
        const allowed = this.#object((joined['additionalProperties'] === false ? joined : more)['properties'] ?? {});
        const named = Object.keys({
          ...this.#object(joined['properties'] ?? {}),
          ...this.#object(more['properties'] ?? {}),
        });
        if (named.some((name) => !Object.hasOwn(allowed, name))) this.#refuse('allows no value');
      }
      const required = [joined['required'], more['required']].flat().filter((name) => name !== undefined);
      joined = {
        ...joined,
        ...more,
        ...('properties' in joined && 'properties' in more
          ? { properties: { ...this.#object(joined['properties']), ...this.#object(more['properties']) } }
          : {}),
        ...(required.length > 0 ? { required } : {}),
      };
    }
    return joined;
  }

  #resolve(reference: string): Schema {
    if (reference !== '#' && !reference.startsWith('#/')) this.#refuse('refers to another document');
    let found: unknown = this.#root;
    for (const step of reference.split('/').slice(1)) {
      const name = step.replaceAll('~1', '/').replaceAll('~0', '~');
      const inside: Schema = typeof found === 'object' && found !== null ? (found as Schema) : {};
      found = Object.hasOwn(inside, name) ? inside[name] : this.#refuse(`refers to nothing: ${reference.slice(0, 80)}`);
    }
    return this.#object(found);
  }

  #object(value: unknown): Schema {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Schema;
    return this.#refuse(value === false ? 'allows no value' : 'is not a JSON schema');
  }

  #pick<T>(list: readonly T[], what: string): T {
    return list.length > 0 ? list[this.#random.below(list.length)]! : this.#refuse(`has an empty ${what}`);
  }

  /** Counts a generated value. */
  #emit(text: string): string {
    this.#length += text.length + 2;
    if (this.#length > schemaTextMax) this.#refuse(`needs more than ${schemaTextMax} characters`);
    return text;
  }

  #refuse(what: string): never {
    throw unservable(`The JSON schema in ${this.#param} ${what}.`, this.#param);
  }
}

function without(schema: Schema, keyword: string): Schema {
  return Object.fromEntries(Object.entries(schema).filter(([name]) => name !== keyword));
}
