// A gateway process to be attacked: its memory is limited, and no load may be left after the attacks.

import { expect } from 'vitest';
import { eventually } from '../e2e/harness.ts';
import { completion, stream } from '../fault/fault-client.ts';
import { atRest, command, endAll, Program, readyEngines, script, startScripted } from '../fault/processes.ts';
import { report } from './attack-size.ts';

const heapMiBMax = 400;
const residentBytesMax = 512 * 1024 * 1024;
/** Time for the process to finish the last attack. */
const restMsMax = 30_000;
const graceMs = 500;
const exitMsMax = 20_000;
let promptSeed = 9000;

export interface AttackedOptions {
  /** Flags of `kvoyant serve`, after those that every attacked gateway has. */
  readonly flags?: readonly string[];
  /** Variables for settings without a flag, such as keys. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Base addresses. Default: two scripted engines, which serve the model `scripted`. */
  readonly engines?: readonly string[];
}

export interface Attacked {
  readonly gateway: Program;
  /** The engines that were started for it. */
  readonly engines: readonly Program[];
}

/** Starts the compiled command, so run `node scripts/build.mjs` first. `finish` must follow every start. */
export async function startAttacked(options: AttackedOptions = {}): Promise<Attacked> {
  const engines = options.engines === undefined ? await Promise.all([startScripted(), startScripted()]) : [];
  await Promise.all(engines.map((engine) => script(engine, { kind: 'stream', firstTokenMs: 0, tokens: 3, gapMs: 1 })));
  const urls = options.engines ?? engines.map(({ url }) => url);
  const args = [
    ...[`--max-old-space-size=${heapMiBMax}`, command, 'serve'],
    ...['--port', '0', '--log-level', 'error', '--no-canary', '--no-rehearse', '--shutdown-grace-ms', `${graceMs}`],
    ...urls.flatMap((url) => ['--worker', url]),
    ...(options.flags ?? []),
  ];
  const gateway = await Program.start(args, /listening on (\S+)/, options.environment);
  await eventually(async () => (await readyEngines(gateway)) === urls.length, restMsMax);
  return { gateway, engines };
}

/** Asserts that an ordinary client gets its whole stream. */
export async function expectServed({ gateway }: Attacked): Promise<void> {
  promptSeed += 1;
  const end = await stream(gateway.url, completion(promptSeed, 3), restMsMax);
  expect(end).toMatchObject({ status: 200, how: 'done' });
}

/**
 * Asserts the state after the attackers have closed their connections: no load, no client connection, no internal error
 * in the log, peak memory within the limit, and SIGTERM ends the process with exit code 0.
 * @param name of the attacks, for the table
 */
export async function finish(attacked: Attacked, name: string): Promise<void> {
  const { gateway, engines } = attacked;
  try {
    await atRest(gateway);
    await eventually(() => gateway.clientSocketCount() === 0, restMsMax);
    expect(gateway.logged('by a fault of the gateway')).toEqual([]);
    const peakBytes = gateway.peakResidentBytes();
    report(name, peakBytes);
    expect(peakBytes).toBeLessThan(residentBytesMax);
    await expectEnds(gateway);
  } finally {
    await endAll([gateway, ...engines]);
  }
}

/** SIGTERM ends it, whatever connections are open. @param codes allowed exit codes; 3: answers were broken off */
export async function expectEnds(gateway: Program, codes: readonly number[] = [0]): Promise<void> {
  const exited = gateway.exitCode();
  gateway.signal('SIGTERM');
  const late = new Promise((resolve) => setTimeout(() => resolve('still there'), exitMsMax).unref());
  expect(codes).toContain(await Promise.race([exited, late]));
}
