// Small trace files in a folder that is removed after the test file.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';

export interface TraceFiles {
  readonly folder: string;
  /** @returns its path */
  write(name: string, content: string | Uint8Array): Promise<string>;
  /** One JSON text per line. */
  writeLines(name: string, values: readonly unknown[]): Promise<string>;
}

/** Call at the top of a test file. */
export function traceFiles(): TraceFiles {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kvoyant-trace-'));
  });
  afterAll(() => rm(folder, { recursive: true }));
  const write = async (name: string, content: string | Uint8Array): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, content);
    return path;
  };
  return {
    get folder() {
      return folder;
    },
    write,
    writeLines: (name, values) => write(name, `${values.map((value) => JSON.stringify(value)).join('\n')}\n`),
  };
}
