// Pins processes to cores and measures their processor time. Linux only; elsewhere without effect.

import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';

/** Unit of the times in /proc/PID/stat. */
const ticksPerS = 100;

/** Whether one core can be kept for the router. */
export const canPin: boolean = os.availableParallelism() > 1 && hasTaskset();

export const routerCore = 0;

/** The command that runs `command` on the router's core. */
export function onRouterCore(command: readonly string[]): string[] {
  return canPin ? ['taskset', '-c', String(routerCore), ...command] : [...command];
}

/** Keeps this process off the router's core. */
export function leaveRouterCore(): void {
  if (!canPin) return;
  const others = `1-${os.cpus().length - 1}`;
  execFileSync('taskset', ['-a', '-cp', others, String(process.pid)], { stdio: 'ignore' });
}

export interface ProcessFigures {
  /** Processor time of the process and its live descendants, user and system. */
  readonly cpuS: number;
  /** That of the process alone. */
  readonly ownCpuS: number;
  /** Their resident memory. */
  readonly residentBytes: number;
}

/** Null without Linux's /proc. */
export function processFigures(pid: number): ProcessFigures | null {
  let cpuS = 0;
  let residentBytes = 0;
  let ownCpuS = 0;
  try {
    for (const member of familyOf(pid)) {
      const fields = statOf(member);
      // utime and stime.
      const memberS = (Number(fields[11]) + Number(fields[12])) / ticksPerS;
      cpuS += memberS;
      if (member === pid) ownCpuS = memberS;
      residentBytes += Number(fields[21]) * 4096;
    }
  } catch {
    return null;
  }
  return { cpuS, ownCpuS, residentBytes };
}

/** The process and its descendants. */
function familyOf(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    let parent: number;
    try {
      parent = Number(statOf(Number(name))[1]);
    } catch {
      // It has ended meanwhile.
      continue;
    }
    const siblings = children.get(parent) ?? [];
    siblings.push(Number(name));
    children.set(parent, siblings);
  }
  const family = [pid];
  for (let at = 0; at < family.length; at++) family.push(...(children.get(family[at]!) ?? []));
  return family;
}

/** Fields after the name, which may contain blanks: state, parent, ... */
function statOf(pid: number): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function hasTaskset(): boolean {
  try {
    execFileSync('taskset', ['-V'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
