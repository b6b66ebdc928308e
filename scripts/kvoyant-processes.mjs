// Starts kvoyant's commands for a script, and stops them at its end. Needs `npm run build`.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { root } from './set-up.mjs';

/** Where simulated engines say that they listen. */
export const engineListening = /listening on (http:\/\/[\w.]+:\d+)/;
/** Where a gateway says that it listens: for operators, then for clients. */
export const gatewayListening = /(?:for operators at|listening on) (http:\/\/[\w.]+:\d+)/;

const children = [];

/** @returns its process and the first group of the first `count` matches in its output */
export function startKvoyant(args, pattern, count) {
  const child = spawn(process.execPath, [join(root, 'dist', 'cli', 'main.js'), ...args]);
  children.push(child);
  return new Promise((resolve, reject) => {
    const found = [];
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        const match = pattern.exec(line);
        if (match !== null && found.push(match[1]) === count) resolve({ child, found });
      });
    }
    child.on('exit', (code) => reject(new Error(`kvoyant ${args[0]} ended with ${code}`)));
  });
}

export function stopAll() {
  for (const child of children) child.removeAllListeners('exit').kill('SIGTERM');
}
