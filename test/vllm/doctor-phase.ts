// `kvoyant doctor` at sound engines, and at engines that each have one fault: it names that, and nothing else.

import { execFile } from 'node:child_process';
import type { Stage } from './engine-under-test.ts';
import type { Verdict } from './verdict-table.ts';

const doctorMsMax = 120_000;

export interface Patient {
  readonly what: string;
  /** How kvoyant is told of the engines. */
  readonly workers: readonly string[];
  /** What is wrong; null: nothing. */
  readonly cause: string | null;
  /** Where the doctor's knowledge of cached tokens has to come from, in place of the engine's own usage. */
  readonly proof: readonly string[];
}

interface Diagnosis {
  readonly sound: boolean;
  readonly proof: readonly string[];
  readonly findings: readonly { readonly cause: string; readonly message: string }[];
}

/**
 * @param command what runs kvoyant
 * @param patients one after the other: a doctor's question must not fall into the middle of another's
 */
export async function doctorPhase(
  stage: Stage,
  command: readonly string[],
  tokenizer: string,
  patients: readonly Patient[],
): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const patient of patients) verdicts.push(await examine(stage, command, tokenizer, patient));
  return verdicts;
}

async function examine(
  { say }: Stage,
  [program, ...before]: readonly string[],
  tokenizer: string,
  { what, workers, cause, proof }: Patient,
): Promise<Verdict> {
  const args = [...before, 'doctor', '--tokenizer', tokenizer, '--json'];
  for (const worker of workers) args.push('--worker', worker);
  const { code, output, complaint } = await runToEnd(program!, args);
  const diagnoses = readDiagnoses(output);
  const causes = new Set(diagnoses?.flatMap(({ findings }) => findings.map((finding) => finding.cause)));
  const proofs = new Set(diagnoses?.flatMap((diagnosis) => diagnosis.proof));
  const holds =
    diagnoses?.length === workers.length &&
    diagnoses.every(({ sound }) => sound === (cause === null)) &&
    code === (cause === null ? 0 : 1) &&
    [...causes].join() === (cause ?? '') &&
    proof.every((kind) => diagnoses.every((diagnosis) => diagnosis.proof.includes(kind)));
  if (!holds) say(`doctor, ${what}: exit code ${code}\n${output}${complaint}`);
  const found = causes.size === 0 ? 'sound' : [...causes].join(', ');
  const required = cause ?? (proof.length === 0 ? 'sound' : `sound; ${proof.join(', ')}`);
  return {
    check: `doctor: ${what}`,
    seen: diagnoses === null ? `exit code ${code}` : `${found}; proof: ${[...proofs].join(', ') || 'none'}`,
    required,
    holds,
  };
}

/** @returns null if it is no such thing */
function readDiagnoses(output: string): readonly Diagnosis[] | null {
  try {
    return (JSON.parse(output) as { workers: readonly Diagnosis[] }).workers;
  } catch {
    return null;
  }
}

function runToEnd(
  program: string,
  args: readonly string[],
): Promise<{ readonly code: number | string; readonly output: string; readonly complaint: string }> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: doctorMsMax }, (error, output, complaint) => {
      resolve({ code: error === null ? 0 : (error.code ?? error.signal ?? 'none'), output, complaint });
    });
  });
}
