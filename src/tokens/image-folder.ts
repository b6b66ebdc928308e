// The folder that caches tokenizer images between starts.

import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Beyond it, the longest unused images are removed. */
const imagesMax = 16;
const suffix = '.kvoyant-bpe';

/** `KVOYANT_CACHE`, else the user's XDG cache folder; null if the user has no home. */
export function cacheFolder(environment: Readonly<Record<string, string | undefined>>): string | null {
  const { KVOYANT_CACHE: own, XDG_CACHE_HOME: xdg, HOME: home } = environment;
  if (own) return own;
  if (xdg) return join(xdg, 'kvoyant');
  return home ? join(home, '.cache', 'kvoyant') : null;
}

/** A cache: any failure of the disk counts as a miss. */
export class ImageFolder {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** The bytes of the named image, unchecked; undefined if there is none that can be read. */
  async read(name: string): Promise<SharedArrayBuffer | undefined> {
    const path = this.#pathOf(name);
    try {
      const file = await open(path);
      try {
        const memory = new SharedArrayBuffer((await file.stat()).size);
        const { bytesRead } = await file.read(new Uint8Array(memory));
        // Marks it as used.
        await utimes(path, new Date(), new Date()).catch(() => {});
        return bytesRead === memory.byteLength ? memory : undefined;
      } finally {
        await file.close();
      }
    } catch {
      return undefined;
    }
  }

  /** Atomic: readers see the old image or the whole new one. @returns why it could not be written, or null */
  async write(name: string, memory: SharedArrayBuffer): Promise<Error | null> {
    const path = this.#pathOf(name);
    const draft = `${path}.${randomBytes(6).toString('hex')}`;
    try {
      await mkdir(this.#path, { recursive: true, mode: 0o700 });
      await writeFile(draft, new Uint8Array(memory), { mode: 0o600 });
      await rename(draft, path);
      await this.#removeOldest();
      return null;
    } catch (error) {
      await rm(draft, { force: true }).catch(() => {});
      return error as Error;
    }
  }

  async #removeOldest(): Promise<void> {
    const names = (await readdir(this.#path)).filter((name) => name.endsWith(suffix));
    const used = await Promise.all(
      names.map(async (name) => ({ path: join(this.#path, name), ms: (await stat(join(this.#path, name))).mtimeMs })),
    );
    const oldest = used.toSorted((a, b) => b.ms - a.ms).slice(imagesMax);
    for (const { path } of oldest) await rm(path, { force: true });
  }

  #pathOf(name: string): string {
    return join(this.#path, name + suffix);
  }
}
