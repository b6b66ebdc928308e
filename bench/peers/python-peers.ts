// Routers from PyPI: each in a virtual environment of its own in the user's cache folder.

import { type ExecFileSyncOptions, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import type { Contender } from '../gateway/contender.ts';

/** Installing a package takes a minute where the network is slow. */
const installMsMax = 600_000;

interface PythonPeer {
  /** On PyPI. */
  readonly package: string;
  /** Command inside the environment, before the options. */
  readonly program: readonly string[];
  readonly options: readonly string[];
}

/** Each runs its cache-aware policy. */
const pythonPeers: readonly PythonPeer[] = [
  { package: 'smg', program: ['smg', 'launch'], options: ['--policy', 'cache_aware'] },
  {
    package: 'sglang-router',
    program: ['python', '-m', 'sglang_router.launch_router'],
    options: ['--policy', 'cache_aware'],
  },
  { package: 'vllm-router', program: ['vllm-router'], options: ['--policy', 'cache_aware'] },
];

export function peersFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(os.homedir(), '.cache'), 'kvoyant', 'peers');
}

/** Installs what is not there yet. @param say told why a peer is left out */
export function installPythonPeers(say: (line: string) => void): Contender[] {
  return pythonPeers.flatMap((peer) => {
    try {
      return [install(peer, say)];
    } catch (error) {
      say(`${peer.package}: left out: ${lastLine((error as { stderr?: Buffer }).stderr) || (error as Error).message}`);
      return [];
    }
  });
}

function install(peer: PythonPeer, say: (line: string) => void): Contender {
  const folder = join(peersFolder(), peer.package);
  const bin = join(folder, 'bin');
  const options: ExecFileSyncOptions = { timeout: installMsMax, stdio: ['ignore', 'pipe', 'pipe'] };
  const pip = (...args: readonly string[]): string =>
    execFileSync(join(bin, 'python'), ['-m', 'pip', '--disable-pip-version-check', ...args], options).toString();
  if (!existsSync(join(bin, 'python'))) {
    mkdirSync(peersFolder(), { recursive: true });
    execFileSync('python3', ['-m', 'venv', folder], options);
  }
  if (!/^Version:/m.test(shown(pip, peer.package))) {
    say(`${peer.package}: is being installed`);
    pip('install', '--quiet', '--only-binary', ':all:', peer.package);
  }
  const version = /^Version: (.+)$/m.exec(shown(pip, peer.package))?.[1] ?? 'of unknown version';
  const [program, ...rest] = peer.program;
  return {
    name: `${peer.package} ${version}`,
    about: [...peer.program, ...peer.options].join(' '),
    command: (engines, port, otherPort) => [
      join(bin, program!),
      ...rest,
      ...['--host', '127.0.0.1', '--port', String(port), '--prometheus-port', String(otherPort)],
      ...peer.options,
      '--worker-urls',
      ...engines.map(({ url }) => url),
    ],
  };
}

function shown(pip: (...args: readonly string[]) => string, name: string): string {
  try {
    return pip('show', name);
  } catch {
    // It is not installed.
    return '';
  }
}

function lastLine(bytes: Buffer | undefined): string {
  return (bytes ?? '').toString().trim().split('\n').at(-1) ?? '';
}
