// The types of settings: check, default value, and how a text becomes a value.

import { z } from 'zod';
import { isAddressRange } from '../address-range.ts';
import { type ApiKey, readApiKey } from './api-keys.ts';
import { certificateName, certificateNameRule } from './certificate-names.ts';
import { type EngineSpec, readEngineSpec } from './engine-spec.ts';
import { listenAddressFault, plainHost } from './listen-address.ts';
import { hashSecret, isSecretHash, secretForm } from './secret-hash.ts';
import { readTenant, type Tenant } from './tenants.ts';

/**
 * How a text becomes a value. `auto`: a number or a word. `list`: separated by blanks. `secret`: never shown; has no
 * flag, since other users of the machine could see its value.
 */
export type SettingKind = 'text' | 'number' | 'auto' | 'switch' | 'list' | 'secret' | 'secret-list';

export interface SettingType<T> {
  readonly kind: SettingKind;
  readonly schema: z.ZodType<T>;
  readonly initial: T;
  readonly choices?: readonly string[];
}

export const workersMax = 4096;
const apiKeysMax = 1000;
const tenantsMax = 1000;

export function integer(min: number, max: number, initial: number): SettingType<number> {
  const error = `must be an integer from ${min} to ${max}`;
  return { kind: 'number', initial, schema: z.int({ error }).min(min, { error }).max(max, { error }) };
}

export function nonNegative(max: number, initial: number): SettingType<number> {
  const error = `must be a number from 0 to ${max}`;
  return { kind: 'number', initial, schema: z.number({ error }).min(0, { error }).max(max, { error }) };
}

/** An integer, or a word for a value that the gateway determines; the first word is the default. */
export function wordOrInteger<const W extends string>(
  words: readonly [W, ...W[]],
  min: number,
  max: number,
): SettingType<number | W> {
  const isRight = (value: unknown): boolean =>
    words.includes(value as W) || (Number.isInteger(value) && (value as number) >= min && (value as number) <= max);
  const error = `must be ${words.join(', ')} or an integer from ${min} to ${max}`;
  return { kind: 'auto', initial: words[0], schema: z.custom<number | W>(isRight, { error }) };
}

export function oneOf<const T extends readonly string[]>(choices: T, initial: T[number]): SettingType<T[number]> {
  return { kind: 'text', choices, initial, schema: z.enum(choices, { error: `must be one of ${choices.join(', ')}` }) };
}

const textSchema = z.string({ error: 'must be a text' }).min(1, { error: 'must not be empty' });

export function text(initial: string): SettingType<string> {
  return { kind: 'text', initial, schema: textSchema };
}

export const nullableText: SettingType<string | null> = { kind: 'text', initial: null, schema: textSchema.nullable() };

export const path: SettingType<string | null> = nullableText;

/** An address, or `unix:/PATH`. */
export function listenAddress(initial: string): SettingType<string> {
  const schema = textSchema.transform((value, context) => {
    const host = plainHost(value);
    const message = listenAddressFault(host);
    if (message !== null) context.addIssue({ code: 'custom', message });
    return host;
  });
  return { kind: 'text', initial, schema };
}

/** Permissions as three octal digits; YAML reads them as a number. */
export function permissions(initial: string): SettingType<string> {
  const error = 'must be three digits from 0 to 7, such as 660';
  const schema = z
    .union([z.string(), z.number()], { error })
    .transform(String)
    .pipe(z.string().regex(/^[0-7]{3}$/, { error }));
  return { kind: 'text', initial, schema };
}

export function flag(initial: boolean): SettingType<boolean> {
  return { kind: 'switch', initial, schema: z.boolean({ error: 'must be true or false' }) };
}

/** `field`, `at`: the faulty part of the item. */
export type Read<T> =
  | { readonly kind: 'right'; readonly value: T }
  | {
      readonly kind: 'wrong';
      readonly message: string;
      readonly field?: string;
      readonly at?: readonly (string | number)[];
    };

export function wrong(message: string, ...at: readonly (string | number)[]): Read<never> {
  return { kind: 'wrong', message, at };
}

/** A list whose items are parsed one by one; a fault names the item and its field. */
export function listOf<T>(read: (item: unknown) => Read<T>, countMax: number): z.ZodType<readonly T[]> {
  return z
    .array(z.unknown(), { error: 'must be a list' })
    .max(countMax, { error: `must not have more than ${countMax} items` })
    .transform((items, context) =>
      items.flatMap((item, index) => {
        const result = read(item);
        if (result.kind === 'right') return [result.value];
        const { message, field, at = field === undefined ? [] : [field] } = result;
        context.addIssue({ code: 'custom', path: [index, ...at], message });
        return [];
      }),
    );
}

export const engines: SettingType<readonly EngineSpec[]> = {
  kind: 'list',
  initial: [],
  schema: listOf((item): Read<EngineSpec> => {
    const result = readEngineSpec(item);
    return result.kind === 'wrong' ? result : { kind: 'right', value: result.spec };
  }, workersMax),
};

export const keys: SettingType<readonly ApiKey[]> = {
  kind: 'secret-list',
  initial: [],
  schema: listOf((item): Read<ApiKey> => {
    const result = readApiKey(item);
    return result.kind === 'wrong' ? result : { kind: 'right', value: result.key };
  }, apiKeysMax),
};

export const tenantList: SettingType<readonly Tenant[]> = {
  kind: 'list',
  initial: [],
  schema: listOf((item): Read<Tenant> => {
    const result = readTenant(item);
    return result.kind === 'wrong' ? result : { kind: 'right', value: result.tenant };
  }, tenantsMax),
};

export function addressRanges(countMax: number): SettingType<readonly string[]> {
  const read = (item: unknown): Read<string> =>
    typeof item === 'string' && isAddressRange(item)
      ? { kind: 'right', value: item }
      : { kind: 'wrong', message: 'must be an IP address or a range such as 10.0.0.0/8' };
  return { kind: 'list', initial: [], schema: listOf(read, countMax) };
}

const originsMax = 100;

/** Origins as a browser sends them, or `*`. */
export const browserOrigins: SettingType<readonly string[]> = {
  kind: 'list',
  initial: [],
  schema: listOf((item): Read<string> => {
    if (item === '*' || (typeof item === 'string' && URL.canParse(item) && new URL(item).origin === item)) {
      return { kind: 'right', value: item };
    }
    return {
      kind: 'wrong',
      message: `${JSON.stringify(item)} must be * or an origin such as https://chat.example.org`,
    };
  }, originsMax),
};

const certificateNamesMax = 256;

/** Names in certificates, `KIND:NAME` each. */
export const certificateNameList: SettingType<readonly string[]> = {
  kind: 'list',
  initial: [],
  schema: listOf((item): Read<string> => {
    const name = certificateName(item);
    return name === null ? wrong(certificateNameRule) : { kind: 'right', value: name };
  }, certificateNamesMax),
};

const secretError = 'must have 16 to 256 visible characters, or be sha256:SALT:DIGEST';

const natsServersMax = 64;

/** Addresses of NATS servers; one text may hold several, separated by commas. Never with a password. */
export const natsServers: SettingType<readonly string[]> = {
  kind: 'list',
  initial: [],
  schema: listOf((item): Read<readonly string[]> => {
    const servers = typeof item === 'string' ? item.split(',').map((server) => server.trim()) : [item];
    for (const server of servers) {
      const message = natsServerFault(server);
      if (message !== null) return { kind: 'wrong', message };
    }
    return { kind: 'right', value: servers as readonly string[] };
  }, natsServersMax).transform((lists) => lists.flat()),
};

/** Null: it is an address. Nothing before an `@` is repeated, since it may be a password. */
function natsServerFault(server: unknown): string | null {
  if (typeof server !== 'string') return 'must be a text';
  const shown = JSON.stringify(server.replace(/^.*@/s, '...@'));
  if (server.includes('@')) return `${shown} has a user name: give it in natsUser, and the password in natsPassword`;
  return /^((nats|tls):\/\/)?([\w.-]+|\[[\da-f:.]+\])(:\d{1,5})?$/i.test(server)
    ? null
    : `${shown} is no address like nats://10.0.0.1:4222`;
}

/** A name that becomes part of NATS subjects: a dot or a wildcard would change where they lead. */
export const subjectName: SettingType<string> = {
  kind: 'text',
  initial: 'default',
  schema: z.string({ error: 'must be a text' }).regex(/^[A-Za-z0-9_-]{1,64}$/, {
    error: 'must have 1 to 64 letters, digits, - or _',
  }),
};

/** A secret that must be known as it is, because it is sent to another program. */
export const sentSecret: SettingType<string | null> = {
  kind: 'secret',
  initial: null,
  schema: z
    .string({ error: 'must be a text' })
    .min(1, { error: 'must not be empty' })
    .max(4096, { error: 'must not have more than 4096 characters' })
    .nullable(),
};

/** Kept as a hash only. */
export const secret: SettingType<string | null> = {
  kind: 'secret',
  initial: null,
  schema: z
    .string({ error: secretError })
    .refine((value) => isSecretHash(value) || secretForm.test(value), { error: secretError })
    .transform(hashSecret)
    .nullable(),
};

/** Parses the text of a flag, a variable or an option. Invalid text is returned as it is, for a check to refuse. */
export function valueFromText(kind: SettingKind, text: string): unknown {
  switch (kind) {
    case 'text':
    case 'secret':
      return text;
    case 'number':
    case 'auto':
      return numberFrom(text);
    case 'switch':
      if (/^(1|true|yes|on)$/i.test(text)) return true;
      return /^(0|false|no|off|)$/i.test(text) ? false : text;
    case 'list':
    case 'secret-list':
      return text.split(/\s+/).filter(Boolean);
  }
}

function numberFrom(text: string): number | string {
  const number = text.trim() === '' ? Number.NaN : Number(text);
  return Number.isNaN(number) ? text : number;
}
