// The types of the settings `pools` and `models`.

import { type ModelRoute, readModelRoute } from './model-route.ts';
import { type PoolEntry, readPoolEntry } from './pool-entry.ts';
import { listOf, type SettingType } from './setting-type.ts';

export const poolsMax = 256;
export const modelRoutesMax = 1000;

export const poolList: SettingType<readonly PoolEntry[]> = {
  kind: 'list',
  initial: [],
  schema: listOf(readPoolEntry, poolsMax),
};

export const modelRoutes: SettingType<readonly ModelRoute[]> = {
  kind: 'list',
  initial: [],
  schema: listOf(readModelRoute, modelRoutesMax),
};
