// A YAML file of limited size, whose parts can be located by line.
//
// A thread parses it: files are read again while the gateway serves, a list of a thousand workers takes a fifth of a
// second, and a file that is made for it a minute.

import { readFile, stat } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { builtEntry } from '../../tokens/built-entry.ts';
import { type ParsedYaml, parseYaml, YamlFileError } from './yaml-parse.ts';
import type { YamlReply, YamlTask } from './yaml-thread-entry.ts';

export { YamlFileError } from './yaml-parse.ts';

const fileBytesMax = 4 * 1024 * 1024;
const parseMsMax = 10_000;
const heapMiBMax = 512;

const threadEntry: URL = builtEntry(import.meta.url, 'yaml-thread-entry');

export class YamlFile {
  readonly path: string;
  /** Plain objects, arrays, strings, numbers, booleans, null. */
  readonly value: unknown;
  readonly #root: ParsedYaml['root'];

  private constructor(path: string, { value, root }: ParsedYaml) {
    this.path = path;
    this.value = value;
    this.#root = root;
  }

  /** @throws YamlFileError if the file can't be read, is not YAML, or takes too long */
  static async read(path: string, msMax: number = parseMsMax): Promise<YamlFile> {
    let text: string;
    try {
      const { size } = await stat(path);
      if (size > fileBytesMax) throw new YamlFileError(`${path} exceeds ${fileBytesMax} bytes`);
      text = await readFile(path, 'utf8');
    } catch (error) {
      if (error instanceof YamlFileError) throw error;
      throw new YamlFileError(`${path} can't be read: ${(error as Error).message}`);
    }
    return new YamlFile(path, await parsedByThread({ path, text }, msMax));
  }

  /** In the calling thread. @throws YamlFileError */
  static parse(path: string, text: string): YamlFile {
    return new YamlFile(path, parseYaml(path, text));
  }

  /** `FILE:LINE` of the part at `path`, or of its nearest existing parent. */
  where(path: readonly (string | number)[]): string {
    let place = this.#root;
    for (const step of path) {
      const part = place.parts?.get(step);
      if (part === undefined) break;
      place = part;
    }
    return `${this.path}:${place.line}`;
  }
}

/** @throws YamlFileError */
function parsedByThread(task: YamlTask, msMax: number): Promise<ParsedYaml> {
  return new Promise((resolve, reject) => {
    const refuse = (reason: string): void => reject(new YamlFileError(`${task.path}${reason}`));
    const worker = new Worker(threadEntry, {
      workerData: task,
      resourceLimits: { maxOldGenerationSizeMb: heapMiBMax },
    });
    const timer = setTimeout(() => {
      refuse(` takes longer than ${msMax / 1000} s to parse`);
      void worker.terminate();
    }, msMax);
    worker.once('message', (reply: YamlReply) => {
      if ('parsed' in reply) resolve(reply.parsed);
      else reject(new YamlFileError(reply.message));
    });
    worker.once('error', (error) => refuse(` can't be parsed: ${error.message}`));
    worker.once('exit', () => {
      clearTimeout(timer);
      // Without effect after an answer.
      refuse(" can't be parsed: the thread ended");
    });
  });
}
