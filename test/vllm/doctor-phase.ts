// `kvoyant doctor` on sound engines and on engines with one fault each: it reports exactly that fault.

import { execFile } from 'node:child_process';
import type { Stage } from './engine-under-test.ts';
import type { Verdict } from './verdict-table.ts';

const doctorMsMax = 120_000;

export interface Patient {
  readonly what: string;
  /** The engines as `--worker` values. */
  readonly workers: readonly string[];
  /** Expected cause; null: sound. */
  readonly cause: string | null;
  /** Expected proofs. */
  readonly proof: readonly string[];
}

interface Diagnosis {
  readonly sound: boolean;
  readonly proof: readonly string[];
  readonly findings: readonly { readonly cause: string; readonly message: string }[];
}

/**
 * @param command runs kvoyant
 * @param patients examined one after the other, since examinations would disturb each other
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

/** @returns null if the output has another form */
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
