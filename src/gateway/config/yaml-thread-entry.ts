// The thread that parses one YAML file.

import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../core/assert.ts';
import { type ParsedYaml, parseYaml } from './yaml-parse.ts';

export interface YamlTask {
  readonly path: string;
  readonly text: string;
}

/** `message`: what is wrong with the file. */
export type YamlReply = { readonly parsed: ParsedYaml } | { readonly message: string };

assert(parentPort !== null, 'this module runs in a worker thread');
const { path, text } = workerData as YamlTask;
let reply: YamlReply;
try {
  reply = { parsed: parseYaml(path, text) };
} catch (error) {
  reply = { message: (error as Error).message };
}
parentPort.postMessage(reply);
