// Reads agent logs with raw text (JSONL of prompts and outputs) and cuts the text into blocks with a tokenizer.

import { BlockHasher } from '../../core/blocks/block-hash.ts';
import type { Tokenizer } from '../../tokens/tokenizer.ts';
import { SequenceNumbering } from '../sequence-numbering.ts';
import { TraceError } from '../trace-error.ts';
import { TraceFields } from '../trace-fields.ts';
import type { WorkloadRequest } from '../workload.ts';
import { fromFirstArrival, hasFields, OutputLengths, type Reader, type ReadTrace } from './reader.ts';

const blockTokensDefault = 16;

/**
 * A line: `timestamp` (microseconds), `input`, `output`, `session_id`. Lines may stand in any order. Sessions start as
 * recorded. Each later request waits for the one before it and then for the difference of their timestamps. This
 * difference includes the recorded answer time, which the log does not separate.
 */
export const agentTextFormat: Reader = {
  format: 'agent text JSONL',
  firstLine: '{"timestamp": 1760428635884722, "input": "...", "output": "...", "session_id": "c9a6"}',
  recognises: (line) => hasFields(line, ['timestamp'], ['input'], ['output'], ['session_id']),
  read: async (files, { tokenizer, blockTokens = blockTokensDefault }) => {
    if (tokenizer === undefined) {
      throw new TraceError(
        'tokenizer-missing',
        `${files[0]!.path}: contains raw text, which needs a tokenizer to be cut into blocks`,
      );
    }
    const trace = new TextTrace(tokenizer, blockTokens);
    for (const { lines } of files) {
      for await (const { at, text } of lines) await trace.add(TraceFields.parse(at, text));
    }
    return trace.finish();
  },
};

class TextTrace {
  readonly #tokenizer: Pick<Tokenizer, 'encode'>;
  readonly #blockTokens: number;
  readonly #hasher = new BlockHasher();
  /** Unbounded, so that no sharing is missed. */
  readonly #numbering = new SequenceNumbering(Number.POSITIVE_INFINITY);
  readonly #outputs = new OutputLengths();
  readonly #sessions = new Map<string, WorkloadRequest[]>();

  constructor(tokenizer: Pick<Tokenizer, 'encode'>, blockTokens: number) {
    this.#tokenizer = tokenizer;
    this.#blockTokens = blockTokens;
  }

  async add(fields: TraceFields): Promise<void> {
    const arrivalMs = fields.amount('timestamp') / 1000;
    const input = await this.#tokenizer.encode(fields.string('input'));
    if (input.length === 0) fields.refuse('input', 'must not be empty');
    const output = await this.#tokenizer.encode(fields.string('output'), { addSpecialTokens: false });
    const { sequence, count } = this.#hasher.hash(input, this.#blockTokens);
    const blockIds = this.#numbering.numbers(sequence, count);
    const request = { arrivalMs, isl: input.length, osl: this.#outputs.osl(output.length), blockIds };
    const id = fields.string('session_id');
    const turns = this.#sessions.get(id);
    if (turns === undefined) this.#sessions.set(id, [request]);
    else turns.push(request);
  }

  finish(): ReadTrace {
    const requests: WorkloadRequest[] = [];
    for (const [session, turns] of [...this.#sessions.values()].entries()) {
      turns.sort((a, b) => a.arrivalMs - b.arrivalMs);
      for (const [i, turn] of turns.entries()) {
        const previous = turns[i - 1];
        if (previous === undefined) requests.push({ ...turn, session });
        else {
          const after = { request: requests.length - 1, thinkMs: turn.arrivalMs - previous.arrivalMs };
          requests.push({ ...turn, session, after });
        }
      }
    }
    return {
      contentBlockTokens: this.#blockTokens,
      blockIdCount: this.#numbering.count,
      requests: fromFirstArrival(requests),
      notes: ['think times include the recorded answers', ...this.#outputs.notes],
    };
  }
}
