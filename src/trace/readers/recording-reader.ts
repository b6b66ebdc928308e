// Reads what the gateway has recorded.
import { BlockNumbering, ChainNumbering } from '../block-numbering.ts';
import { decodeHeader, decodeRequest, isHeader } from '../recorder.ts';
import { TraceError } from '../trace-error.ts';
import type { WorkloadRequest } from '../workload.ts';
import { fromFirstArrival, OutputLengths, type Reader, type ReadTrace, type TraceFile } from './reader.ts';

/** Each file has times and ids of its own: several are laid over one another and share nothing. */
export const RECORDING: Reader = {
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

  async add({ lines }: TraceFile): Promise<void> {
    // Chained once more: a block whose parent the recorder forgot must not pass for shared content.
    const chains = new ChainNumbering(this.#numbering);
    const requests: WorkloadRequest[] = [];
    let header = true;
    for await (const { at, text } of lines) {
      if (header) {
        this.#header(at, text);
        header = false;
        continue;
      }
      const { arrivalMs, isl, osl, blockIds, cancelled } = decodeRequest(at, text, this.#blockTokens);
      requests.push({ arrivalMs, isl, osl: this.#outputs.osl(osl), blockIds: chains.chain(blockIds) });
      if (cancelled) this.#cancelled++;
    }
    for (const request of fromFirstArrival(requests)) this.#requests.push(request);
  }

  finish(): ReadTrace {
    const cancelled = `${this.#cancelled} requests were cancelled; they end here after the output they had by then`;
    return {
      contentBlockTokens: this.#blockTokens,
      blockIdCount: this.#numbering.count,
      requests: this.#requests,
      notes: [...(this.#cancelled === 0 ? [] : [cancelled]), ...this.#outputs.notes],
    };
  }

  #header(at: string, text: string): void {
    const blockTokens = decodeHeader(at, text);
    if (this.#blockTokens !== 0 && blockTokens !== this.#blockTokens) {
      throw new TraceError(
        'trace-invalid',
        `${at}: blockTokens: ${blockTokens}, but ${this.#blockTokens} in the file before`,
      );
    }
    this.#blockTokens = blockTokens;
  }
}
