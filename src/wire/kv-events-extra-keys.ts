// Sorts the untyped extra keys of stored blocks into adapter, salt and the rest, and back.

import { jsonOf } from './message-pack.ts';

/** What distinguishes blocks with equal tokens; see BlocksStored in core. */
export interface ContentKeys {
  readonly lora: string | null;
  readonly salt: string | null;
  readonly extras: readonly (string | null)[] | null;
}

/**
 * vLLM lists for each block, untagged: the adapter's name, media as [identifier, offset], the salt (first block of a
 * prompt only) and digests as bytes. In the first block of a chain, a bare string that is not the adapter's name is
 * therefore the salt; everything else becomes one text per block (JSON, bytes as hex).
 */
export function readExtraKeys(
  extraKeys: unknown,
  blockCount: number,
  isRoot: boolean,
  lora: string | null,
  salt: string | null,
): ContentKeys {
  if (!Array.isArray(extraKeys)) return { lora, salt, extras: null };
  let foundSalt = salt;
  let extras: (string | null)[] | null = null;
  for (let block = 0; block < blockCount; block++) {
    const keys: unknown = extraKeys[block];
    if (!Array.isArray(keys)) continue;
    const rest: unknown[] = [];
    let loraSeen = lora === null;
    for (const key of keys) {
      if (!loraSeen && key === lora) loraSeen = true;
      else if (isRoot && block === 0 && foundSalt === null && typeof key === 'string') foundSalt = key;
      else if (!(isRoot && block === 0 && key === foundSalt)) rest.push(key);
    }
    if (rest.length === 0) continue;
    extras ??= new Array<string | null>(blockCount).fill(null);
    extras[block] = jsonOf(rest);
  }
  return { lora, salt: foundSalt, extras };
}

/** The keys of one block as vLLM lists them, or null if it has none. */
export function listExtraKeys(keys: ContentKeys, block: number, isRoot: boolean): unknown[] | null {
  const list: unknown[] = [];
  if (keys.lora !== null) list.push(keys.lora);
  const extra = keys.extras?.[block] ?? null;
  if (extra !== null) list.push(...(JSON.parse(extra) as unknown[]));
  if (isRoot && block === 0 && keys.salt !== null) list.push(keys.salt);
  return list.length === 0 ? null : list;
}
