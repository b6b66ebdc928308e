// An entry of `models`: a name that clients ask for, and where its requests go.
//
// A target without a pool may name another entry, whose own targets then count. Its own name always means the model
// itself, so an entry may stand in front of a model.

import { blankFault, isEntry, unknownField } from './entry-fields.ts';
import { isPoolName, poolNameRule } from './pool-name.ts';
import { type Read, wrong } from './setting-type.ts';

/** Without `pool`: another entry, or every pool that lists the model. Without `model`: see `Pools`. */
export interface ModelTarget {
  readonly model?: string;
  readonly pool?: string;
}

export interface SplitTarget extends ModelTarget {
  /** Relative to the weights of the other targets; 0: none of the requests. */
  readonly weight: number;
}

export interface ShadowTarget extends ModelTarget {
  /** Of the requests, above 0 and at most 1. */
  readonly share: number;
}

export interface ModelRoute {
  readonly name: string;
  /** At least one; a single one makes the name an alias. */
  readonly split: readonly SplitTarget[];
  /** In order, for requests whose target has no worker. */
  readonly fallback: readonly ModelTarget[];
  readonly shadow?: ShadowTarget;
}

/** An entry as the configuration gives it. */
export type ModelRouteOption = Pick<ModelRoute, 'name'> &
  Partial<Pick<ModelRoute, 'split' | 'fallback' | 'shadow'>> &
  ModelTarget;

export const splitMax = 32;
export const fallbackMax = 16;
/** Targets that one request may be tried at, other entries included. */
export const targetsMax = 64;
const weightMax = 1_000_000;
const nameLengthMax = 1024;
const fields = ['name', 'model', 'pool', 'split', 'fallback', 'shadow'];

/** @param item `NAME=MODEL`, or an object with `name` and `model`, `pool` or `split` */
export function readModelRoute(item: unknown): Read<ModelRoute> {
  if (typeof item === 'string') return readAlias(item);
  if (!isEntry(item)) return wrong('must be NAME=MODEL or an object with a name');
  const unknown = unknownField(item, fields);
  if (unknown !== undefined) {
    return wrong(`has the unknown field ${JSON.stringify(unknown)}; allowed are ${fields.join(', ')}`, unknown);
  }
  const blank = blankFault(item);
  if (blank !== null) return wrong(blank.message, blank.field);
  const { name, split, fallback = [], shadow } = item;
  if (!isName(name)) return wrong(`name ${nameRule}`, 'name');
  const of = (field: string): string => `${field} of ${JSON.stringify(name)}`;
  const ofTarget = withoutFields(item, ['name', 'split', 'fallback', 'shadow']);
  if ((split === undefined) === (Object.keys(ofTarget).length === 0)) {
    return wrong(`${JSON.stringify(name)} needs either a model or pool, or a split`);
  }
  const targets = split ?? [{ ...ofTarget, weight: 1 }];
  if (!Array.isArray(targets) || targets.length === 0 || targets.length > splitMax) {
    return wrong(`${of('split')} must be a list of 1 to ${splitMax} targets`, 'split');
  }
  const route: { split: SplitTarget[]; fallback: ModelTarget[] } = { split: [], fallback: [] };
  for (const [index, target] of targets.entries()) {
    const fault = targetFault(target, 'weight', isWeight, `a number from 0 to ${weightMax}`);
    if (fault !== null) {
      if (split === undefined) return wrong(`${JSON.stringify(name)} ${fault}`);
      return wrong(`${of(`split[${index}]`)} ${fault}`, 'split', index);
    }
    const same = route.split.findIndex(({ model, pool }) => model === target.model && pool === target.pool);
    if (same !== -1) return wrong(`${of(`split[${index}]`)} is the same target as split[${same}]`, 'split', index);
    route.split.push(target as SplitTarget);
  }
  if (route.split.every(({ weight }) => weight === 0)) {
    return wrong(`${of('split')} has no weight above 0`, 'split');
  }
  if (!Array.isArray(fallback) || fallback.length > fallbackMax) {
    return wrong(`${of('fallback')} must be a list of at most ${fallbackMax} targets`, 'fallback');
  }
  for (const [index, target] of fallback.entries()) {
    const fault = targetFault(target);
    if (fault !== null) return wrong(`${of(`fallback[${index}]`)} ${fault}`, 'fallback', index);
    route.fallback.push(target as ModelTarget);
  }
  if (shadow === undefined) return { kind: 'right', value: { name, ...route } };
  const fault = targetFault(shadow, 'share', isShare, 'a number above 0 and at most 1');
  if (fault !== null) return wrong(`${of('shadow')} ${fault}`, 'shadow');
  return { kind: 'right', value: { name, ...route, shadow: shadow as unknown as ShadowTarget } };
}

function readAlias(text: string): Read<ModelRoute> {
  const split = text.indexOf('=');
  const [name, model] = [text.slice(0, split), text.slice(split + 1)];
  if (split === -1 || !isName(name) || !isName(model)) return wrong(`${JSON.stringify(text)} is not NAME=MODEL`);
  return { kind: 'right', value: { name, split: [{ model, weight: 1 }], fallback: [] } };
}

/** @param figure the name of its number, if it has one @returns null: it is a target */
function targetFault(
  target: unknown,
  figure?: string,
  isFigure?: (value: unknown) => boolean,
  rule?: string,
): string | null {
  if (!isEntry(target)) return 'must be an object with a model or a pool';
  const allowed = ['model', 'pool', ...(figure === undefined ? [] : [figure])];
  const unknown = unknownField(target, allowed);
  if (unknown !== undefined) {
    return `has the unknown field ${JSON.stringify(unknown)}; allowed are ${allowed.join(', ')}`;
  }
  const { model, pool } = target;
  if (model === undefined && pool === undefined) return 'names neither a model nor a pool';
  if (model !== undefined && !isName(model)) return `has a model that ${nameRule}`;
  if (pool !== undefined && !isPoolName(pool)) return `has a pool that ${poolNameRule}`;
  if (figure !== undefined && !isFigure!(target[figure])) return `needs a ${figure}, ${rule}`;
  return null;
}

const nameRule = `must have 1 to ${nameLengthMax} characters, none of them a control character`;

function isName(value: unknown): value is string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  return typeof value === 'string' && value.length <= nameLengthMax && /^[^\u0000-\u001f\u007f]+$/.test(value);
}

function isWeight(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && value <= weightMax;
}

function isShare(value: unknown): boolean {
  return typeof value === 'number' && value > 0 && value <= 1;
}

function withoutFields(item: Record<string, unknown>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(item).filter(([name]) => !names.includes(name)));
}
