// Reads recorded sessions of a coding agent (kv-cache-tester's JSON, one session per file) as closed loops with think
// time.

import { arrivalChance } from '../arrival-process.ts';
import { BlockNumbering, ChainNumbering } from '../block-numbering.ts';
import { TraceError } from '../trace-error.ts';
import { TraceFields } from '../trace-fields.ts';
import { lineCharactersMax } from '../trace-lines.ts';
import type { WorkloadRequest } from '../workload.ts';
import { type AgentRequest, type AgentRun, longestPromptTokens, parseAgentSession } from './agent-session-record.ts';
import { hasFields, OutputLengths, type Reader, type ReadTrace, type TraceFile } from './reader.ts';

/** A session with a longer prompt is skipped: it does not fit a worker of the size the sessions are studied with. */
const promptTokensMax = 180_000;
const outputTokensMax = 4000;
/** A user who is away for hours adds no load. */
const thinkMsMax = 60_000;
const sessionGapMeanMs = 1000;
/** Assumed share of tools and system prompt common to sessions with equally long tools; ids are local to sessions. */
const sharedShare = 0.75;
const kvTokensPerWorker = 1_500_000;

/**
 * Sessions start one after another, with exponential gaps of mean 1 s. Each request waits for the one before it and for
 * its `think_time`, at most 60 s. A sub-agent runs in parallel with the requests that follow it, as recorded. Outputs
 * are cut at 4,000 tokens.
 */
export const agentSessionFormat: Reader = {
  format: 'agent session JSON',
  firstLine:
    '{"id": "trace_0001", "block_size": 64, "hash_id_scope": "local", "requests": [{"t": 0.0, "in": 15291, ...',
  recognises: (line) => line === '{' || hasFields(line, ['block_size'], ['requests']),
  read: async (files, { seed = 0 }) => {
    const trace = new SessionsTrace(seed);
    for (const file of files) trace.add(await parseFile(file));
    return trace.finish();
  },
};

async function parseFile({ path, lines }: TraceFile): Promise<TraceFields> {
  const texts: string[] = [];
  let characters = 0;
  for await (const { text } of lines) {
    texts.push(text);
    characters += text.length;
    if (characters > lineCharactersMax) {
      throw new TraceError('trace-too-large', `${path}: longer than ${lineCharactersMax} characters`);
    }
  }
  return TraceFields.parse(path, texts.join('\n'));
}

/** Progress of a run. */
interface Progress {
  readonly request: number;
  /** In seconds of the run. */
  readonly endS: number;
  /** In milliseconds of the workload, if engines answer as fast as the recorded ones. */
  readonly endMs: number;
}

class SessionsTrace {
  readonly #chance: ReturnType<typeof arrivalChance>;
  readonly #numbering = new BlockNumbering();
  readonly #outputs = new OutputLengths();
  readonly #requests: WorkloadRequest[] = [];
  /** Tool tokens -> block ids that sessions with these tools share, as far as any session got. */
  readonly #shared = new Map<number, Int32Array>();
  #blockTokens = 0;
  #startMs = 0;
  #runs = 0;
  #leftOut = 0;
  #cut = 0;

  constructor(seed: number) {
    this.#chance = arrivalChance(seed);
  }

  add(fields: TraceFields): void {
    const { blockTokens, run } = parseAgentSession(fields);
    if (this.#blockTokens !== 0 && blockTokens !== this.#blockTokens) {
      fields.refuse('block_size', `${blockTokens}, but ${this.#blockTokens} in the file before`);
    }
    this.#blockTokens = blockTokens;
    if (longestPromptTokens(run) > promptTokensMax) {
      this.#leftOut++;
      return;
    }
    this.#startMs += this.#chance.exponential(sessionGapMeanMs);
    this.#play(run, new ChainNumbering(this.#numbering), undefined, 0);
  }

  finish(): ReadTrace {
    const notes = [
      `think times are at most ${thinkMsMax / 1000} s; ${sharedShare} of tools and system prompt is shared`,
      ...(this.#leftOut === 0
        ? []
        : [`${this.#leftOut} sessions with a prompt over ${promptTokensMax} tokens left out`]),
      ...(this.#cut === 0 ? [] : [`${this.#cut} outputs cut at ${outputTokensMax} tokens`]),
      ...this.#outputs.notes,
    ];
    return {
      contentBlockTokens: this.#blockTokens,
      blockIdCount: this.#numbering.count,
      requests: this.#requests,
      kvTokensPerWorker,
      notes,
    };
  }

  /**
   * @param entry progress of the parent run when a sub-agent starts; `entryThinkS` later the sub-agent sends its first
   * request
   */
  #play(run: AgentRun, chains: ChainNumbering, entry: Progress | undefined, entryThinkS: number): void {
    const session = this.#runs++;
    this.#adoptShared(run, chains);
    let previous = entry;
    let thinkS: number | undefined = entryThinkS;
    for (const step of run.steps) {
      if (step.kind === 'sub-agent') {
        this.#play(step.run, chains, previous, step.startS - (previous?.endS ?? 0));
        continue;
      }
      thinkS ??= step.thinkS ?? step.startS - previous!.endS;
      previous = this.#add(step, session, chains.chain(step.ids), previous, thinkS);
      thinkS = undefined;
    }
  }

  #add(
    { startS, answerS, isl, outputTokens }: AgentRequest,
    session: number,
    blockIds: Int32Array,
    previous: Progress | undefined,
    thinkS: number,
  ): Progress {
    const thinkMs = Math.min(Math.max(0, 1000 * thinkS), thinkMsMax);
    const arrivalMs = previous === undefined ? this.#startMs : previous.endMs + thinkMs;
    const after = previous && { request: previous.request, thinkMs };
    if (outputTokens > outputTokensMax) this.#cut++;
    const osl = this.#outputs.osl(Math.min(outputTokens, outputTokensMax));
    const request = this.#requests.push({ arrivalMs, isl, osl, blockIds, session, ...(after && { after }) }) - 1;
    return { request, endS: startS + answerS, endMs: arrivalMs + 1000 * answerS };
  }

  #adoptShared({ toolTokens, systemTokens, steps }: AgentRun, chains: ChainNumbering): void {
    const first = steps.find((step) => step.kind === 'request');
    if (first === undefined) return;
    const sharedBlocks = Math.floor((sharedShare * (toolTokens + systemTokens)) / this.#blockTokens);
    const ids = first.ids.slice(0, sharedBlocks);
    const shared = this.#numbering.extend(this.#shared.get(toolTokens) ?? new Int32Array(0), ids.length);
    this.#shared.set(toolTokens, shared);
    chains.adopt(ids, shared);
  }
}
