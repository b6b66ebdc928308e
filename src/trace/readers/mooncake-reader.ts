// Reads Mooncake's JSONL traces, including the sessions of Dynamo's dialect.

import { BlockNumbering, ChainNumbering } from '../block-numbering.ts';
import { TraceFields } from '../trace-fields.ts';
import { noBlocks, type Predecessor, type WorkloadRequest } from '../workload.ts';
import { fromFirstArrival, hasFields, OutputLengths, type Reader, type ReadTrace } from './reader.ts';

const blockTokensDefault = 512;
/** KV capacity for the public traces: their longest prompts do not fit a small worker. */
const kvTokensPerWorker = 2_000_000;

const timestampNames = ['timestamp', 'created_time'];
const islNames = ['input_length', 'input_tokens'];
const oslNames = ['output_length', 'output_tokens'];
const delayNames = ['delay', 'delay_ms'];

/**
 * A line: `timestamp | created_time` (ms), `input_length | input_tokens`, `output_length | output_tokens`, `hash_ids`
 * (without them the prompt shares nothing). Lines of one `session_id` are the turns of a closed loop, each with its
 * whole prompt: a later turn arrives `delay | delay_ms` after the end of the one before. Without a delay, the
 * difference of the timestamps is used.
 */
export const mooncakeFormat: Reader = {
  format: 'Mooncake JSONL',
  firstLine: '{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}',
  recognises: (line) => hasFields(line, islNames, oslNames),
  read: async (files, { blockTokens = blockTokensDefault }) => {
    const trace = new MooncakeTrace(blockTokens);
    for (const { lines } of files) {
      for await (const { at, text } of lines) trace.add(TraceFields.parse(at, text));
    }
    return trace.finish();
  },
};

class MooncakeTrace {
  readonly #blockTokens: number;
  readonly #numbering = new BlockNumbering();
  readonly #chains = new ChainNumbering(this.#numbering);
  readonly #outputs = new OutputLengths();
  readonly #requests: WorkloadRequest[] = [];
  /** `session_id` -> session number and index of the last turn. */
  readonly #sessions = new Map<string, { readonly session: number; last: number }>();

  constructor(blockTokens: number) {
    this.#blockTokens = blockTokens;
  }

  add(fields: TraceFields): void {
    const isl = fields.count(1, ...islNames);
    const osl = this.#outputs.osl(fields.count(0, ...oslNames));
    this.#requests.push({ ...this.#turn(fields), isl, osl, blockIds: this.#blockIds(fields, isl) });
  }

  finish(): ReadTrace {
    return {
      contentBlockTokens: this.#blockTokens,
      blockIdCount: this.#numbering.count,
      requests: fromFirstArrival(this.#requests),
      kvTokensPerWorker,
      notes: this.#outputs.notes,
    };
  }

  #blockIds(fields: TraceFields, isl: number): Int32Array {
    if (!fields.has('hash_ids')) return noBlocks;
    const ids = fields.ids('hash_ids');
    const blocks = isl / this.#blockTokens;
    if (ids.length < Math.floor(blocks) || ids.length > Math.ceil(blocks)) {
      fields.refuse(
        'hash_ids',
        `${ids.length} ids do not make ${isl} tokens in blocks of ${this.#blockTokens}: set the block size (--trace-block)`,
      );
    }
    return this.#chains.chain(ids);
  }

  #turn(fields: TraceFields): { arrivalMs: number; session?: number; after?: Predecessor } {
    if (!fields.has('session_id')) return { arrivalMs: fields.amount(...timestampNames) };
    const id = fields.string('session_id');
    const index = this.#requests.length;
    const known = this.#sessions.get(id);
    if (known === undefined) {
      const session = this.#sessions.size;
      this.#sessions.set(id, { session, last: index });
      return { arrivalMs: fields.amount(...timestampNames), session };
    }
    const previous = this.#requests[known.last]!;
    const gapMs = fields.has(...timestampNames) ? fields.amount(...timestampNames) - previous.arrivalMs : undefined;
    const thinkMs = fields.has(...delayNames) ? fields.amount(...delayNames) : gapMs;
    if (thinkMs === undefined) fields.refuse('delay', 'a later turn of a session needs it or a timestamp');
    if (thinkMs < 0) fields.refuse('timestamp', 'earlier than the turn before');
    const after = { request: known.last, thinkMs };
    known.last = index;
    return { arrivalMs: previous.arrivalMs + Math.max(gapMs ?? 0, thinkMs), session: known.session, after };
  }
}
