// Of what kind a setting's value is, and what is said of one that is of no such kind.

import { z } from 'zod';

export const integer = (min: number, max: number): z.ZodInt => {
  const error = `must be an integer from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
};

export const nonNegative = (max: number): z.ZodNumber => {
  const error = `must be a number from 0 to ${max}`;
  return z.number({ error }).min(0, { error }).max(max, { error });
};

export const oneOf = <const T extends readonly string[]>(values: T): z.ZodEnum<z.core.util.ToEnum<T[number]>> =>
  z.enum(values, { error: `must be one of ${values.join(', ')}` });

export const text: z.ZodString = z.string({ error: 'must be a text' }).min(1, { error: 'must not be empty' });
export const flag: z.ZodBoolean = z.boolean({ error: 'must be true or false' });

export const file: z.ZodDefault<z.ZodNullable<z.ZodString>> = text.nullable().default(null);

export type Read<T> =
  | { readonly kind: 'right'; readonly value: T }
  | { readonly kind: 'wrong'; readonly message: string; readonly field?: string };

/** A list whose items are read one by one; a fault names the item and its field. */
export const listOf = <T>(read: (item: unknown) => Read<T>, countMax: number): z.ZodType<T[], unknown[] | undefined> =>
  z
    .array(z.unknown(), { error: 'must be a list' })
    .max(countMax, { error: `must not have more than ${countMax} items` })
    .transform((items, context) =>
      items.flatMap((item, index) => {
        const result = read(item);
        if (result.kind === 'right') return [result.value];
        const path = result.field === undefined ? [index] : [index, result.field];
        context.addIssue({ code: 'custom', path, message: result.message });
        return [];
      }),
    )
    .default([]);

const originsMax = 100;

/** Origins as a browser sends them. */
export const originList: z.ZodType<string[], unknown[] | undefined> = listOf((item): Read<string> => {
  if (item === '*' || (typeof item === 'string' && URL.canParse(item) && new URL(item).origin === item)) {
    return { kind: 'right', value: item };
  }
  return { kind: 'wrong', message: `${JSON.stringify(item)} must be * or an origin such as https://chat.example.org` };
}, originsMax);
