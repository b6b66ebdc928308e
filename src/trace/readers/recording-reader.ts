// Reads recordings made by the gateway.

import { BlockNumbering, ChainNumbering } from '../block-numbering.ts';
import { decodeHeader, decodeRequest, isHeader, type RecordingHeader } from '../recorder.ts';
import { TraceError } from '../trace-error.ts';
import type { WorkloadRequest } from '../workload.ts';
import { fromFirstArrival, OutputLengths, type Reader, type ReadTrace, type TraceFile } from './reader.ts';

/**
 * Each recording has its own block ids, so two recordings share nothing. Recordings of one file keep their distance in
 * time; several files run at the same time.
 */
export const recordingFormat: Reader = {
  format: 'kvoyant recording',
  firstLine: '{"format":"kvoyant-recording","version":1,"blockTokens":16}',
  recognises: isHeader,
  read: async (files) => {
    const trace = new RecordedTrace();
    for (const file of files) await trace.add(file);
    return trace.finish();
  },
};

class RecordedTrace {
  readonly #numbering = new BlockNumbering();
  readonly #outputs = new OutputLengths();
  readonly #requests: WorkloadRequest[] = [];
  #blockTokens = 0;
  #cancelled = 0;
  #recordings = 0;

  async add({ lines }: TraceFile): Promise<void> {
    // Chain the ids again: a block whose parent the recorder forgot must not count as shared.
    let chains = new ChainNumbering(this.#numbering);
    const requests: WorkloadRequest[] = [];
    let firstStartMs: number | null = null;
    let startMs = 0;
    for await (const { at, text } of lines) {
      if (firstStartMs === null || isHeader(text)) {
        const { startTimeMs } = this.#header(at, text);
        firstStartMs ??= startTimeMs;
        startMs = startTimeMs - firstStartMs;
        chains = new ChainNumbering(this.#numbering);
        continue;
      }
      const { arrivalMs, isl, osl, blockIds, cancelled } = decodeRequest(at, text, this.#blockTokens);
      const request = { isl, osl: this.#outputs.osl(osl), blockIds: chains.chain(blockIds) };
      requests.push({ arrivalMs: startMs + arrivalMs, ...request });
      if (cancelled) this.#cancelled++;
    }
    for (const request of fromFirstArrival(requests)) this.#requests.push(request);
  }

  finish(): ReadTrace {
    const cancelled = `${this.#cancelled} requests were cancelled; they end here after the output they had by then`;
    const several = `${this.#recordings} recordings, which share no block with one another`;
    return {
      contentBlockTokens: this.#blockTokens,
      blockIdCount: this.#numbering.count,
      requests: this.#requests,
      notes: [
        ...(this.#recordings === 1 ? [] : [several]),
        ...(this.#cancelled === 0 ? [] : [cancelled]),
        ...this.#outputs.notes,
      ],
    };
  }

  #header(at: string, text: string): RecordingHeader {
    const header = decodeHeader(at, text);
    const { blockTokens } = header;
    if (this.#blockTokens !== 0 && blockTokens !== this.#blockTokens) {
      throw new TraceError(
        'trace-invalid',
        `${at}: blockTokens: ${blockTokens}, but ${this.#blockTokens} in the recording before`,
      );
    }
    this.#blockTokens = blockTokens;
    this.#recordings++;
    return header;
  }
}
