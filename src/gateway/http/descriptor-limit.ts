// Compares the limits of the gateway with those of the process that it runs in.

import { readFileSync } from 'node:fs';

/** Files, the listener, connections of KV events and of probes. */
const spareDescriptors = 256;

/** What to say if fewer files may be open than connections may be: a client's, and one to an engine for each. Null: nothing. */
export function descriptorWarning(connectionsMax: number): string | null {
  const max = openFilesMax();
  const needed = 2 * connectionsMax + spareDescriptors;
  if (max === null || max >= needed) return null;
  return `this process may open ${max} files, fewer than ${connectionsMax} connections need (${needed}): raise it (ulimit -n) or lower connectionsMax`;
}

/** Null where the system does not tell it in this way. */
function openFilesMax(): number | null {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
    if (soft === undefined) return null;
    return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    // Only Linux has this file.
    return null;
  }
}
