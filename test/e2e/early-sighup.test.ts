// SIGHUP while `kvoyant serve` starts: it neither ends the process nor is it forgotten.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { eventually } from './harness.ts';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Whether the process has a handler for SIGHUP, the lowest bit of the mask. */
function catchesHangUp(pid: number): boolean {
  const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
  return (BigInt(`0x${mask}`) & 1n) === 1n;
}

it.runIf(process.platform === 'linux')(
  'comes before the listener is open, and reloads once it is',
  async () => {
    const args = ['serve', '--worker', 'http://127.0.0.1:1', '--port', '0', '--no-canary'];
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let log = '';
    child.stdout.on('data', (bytes) => {
      out += bytes;
    });
    child.stderr.on('data', (bytes) => {
      log += bytes;
    });
    try {
      await eventually(() => catchesHangUp(child.pid!), 30_000);
      expect(out).toBe('');
      child.kill('SIGHUP');
      await eventually(() => out.includes('kvoyant listening on') && log.includes('configuration reloaded'), 30_000);
      expect(child.exitCode).toBe(null);
    } finally {
      child.kill('SIGKILL');
    }
  },
  90_000,
);
