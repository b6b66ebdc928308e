// Runs the doctor for one worker at a time, and keeps its latest findings.

import { RequestError } from '../../wire/openai-error.ts';
import type { EngineSpec } from '../config/engine-spec.ts';
import type { Finding as Fault } from '../engines/canary-report.ts';
import { advice } from './findings.ts';
import type { DoctorState } from './page-data.ts';

/** An examination that takes longer has failed. */
const examineMsMax = 90_000;

/** What the doctor has found. */
export interface Exam {
  readonly worker: string;
  readonly sound: boolean;
  readonly proof: readonly string[];
  readonly findings: readonly Fault[];
  readonly notes: readonly string[];
}

/** Examines this engine, and no other. @returns one exam per worker of it */
export type Examine = (engine: EngineSpec) => Promise<readonly Exam[]>;

export interface DoctorSources {
  /** Null: this process has no doctor. */
  readonly examine: Examine | null;
  /** The worker's engine; null: there is no such worker. */
  engineOf(worker: string): EngineSpec | null;
  nowMs(): number;
  changed(state: DoctorState): void;
}

export class DoctorDesk {
  readonly #sources: DoctorSources;
  #state: DoctorState;

  constructor(sources: DoctorSources) {
    this.#sources = sources;
    this.#state =
      sources.examine === null
        ? { kind: 'off', howTo: 'Run kvoyant doctor --worker URL: this gateway was started by a program of its own.' }
        : { kind: 'idle' };
  }

  get state(): DoctorState {
    return this.#state;
  }

  /** @throws RequestError 400, 404 for a wrong worker, 409 if an examination is running */
  ask(asked: unknown): DoctorState {
    const { examine, engineOf, nowMs } = this.#sources;
    const { worker } = (typeof asked === 'object' && asked !== null ? asked : {}) as Record<string, unknown>;
    if (typeof worker !== 'string')
      throw new RequestError(400, 'invalid_value', 'worker must be the id of a worker', 'worker');
    if (examine === null) throw new RequestError(409, 'no_doctor', 'this gateway has no doctor: run kvoyant doctor');
    if (this.#state.kind === 'running') {
      throw new RequestError(409, 'doctor_running', `one worker at a time: ${this.#state.worker} is being examined`);
    }
    const engine = engineOf(worker);
    if (engine === null)
      throw new RequestError(404, 'worker_not_found', `there is no worker ${JSON.stringify(worker)}`);
    this.#become({ kind: 'running', worker, startedMs: nowMs() });
    void this.#examine(examine, worker, engine);
    return this.#state;
  }

  async #examine(examine: Examine, worker: string, engine: EngineSpec): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no result within ${examineMsMax / 1000} s`)), examineMsMax);
      timer.unref();
    });
    try {
      const exams = await Promise.race([examine(engine), late]);
      const exam = exams.find((one) => one.worker === worker) ?? exams[0];
      if (exam === undefined) throw new Error('the engine has no workers');
      this.#become({ kind: 'done', worker, timeMs: this.#sources.nowMs(), ...report(exam) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#become({ kind: 'failed', worker, timeMs: this.#sources.nowMs(), message });
    } finally {
      clearTimeout(timer);
    }
  }

  #become(state: DoctorState): void {
    this.#state = state;
    this.#sources.changed(state);
  }
}

function report({
  worker,
  sound,
  proof,
  findings,
  notes,
}: Exam): Pick<DoctorState & { kind: 'done' }, 'findings' | 'lines'> {
  const proved = proof.length === 0 ? 'nothing is proved' : `proved by ${proof.join(', ')}`;
  return {
    findings: findings.map(({ cause, message }) => ({
      ...{ worker, cause, severity: 'bad', message, advice: advice(cause), source: 'canary' },
    })),
    lines: [
      `${worker} ${sound ? 'is sound' : 'is faulty'} (${proved})`,
      ...findings.map(({ cause, message }) => `${cause}: ${message}`),
      ...notes.map((note) => `note: ${note}`),
    ],
  };
}
