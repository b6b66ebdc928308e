// A name resolver whose answers a test defines.

import type { Resolve } from '../../src/gateway/index.ts';

export class LookUpFailure extends Error {}

export interface NameTable {
  readonly table: Record<string, readonly string[] | LookUpFailure>;
  readonly resolve: Resolve;
  lookUps: number;
}

export function nameTable(table: Record<string, readonly string[] | LookUpFailure>): NameTable {
  const names: NameTable = {
    table,
    lookUps: 0,
    resolve: async (hostName) => {
      names.lookUps += 1;
      const answer = table[hostName] ?? new LookUpFailure(`${hostName} is unknown`);
      if (answer instanceof LookUpFailure) throw answer;
      return answer;
    },
  };
  return names;
}
