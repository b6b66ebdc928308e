// The sequence numbers of one publisher: tells in-order batches from losses, restarts, and what a replay has brought already.

/**
 * `next`: in order. `late-join`: the first batch seen is not the publisher's first. `gap`: batches are missing.
 * `restart`: the publisher began anew. `overlap`: a replay has delivered it already.
 */
export type SequenceVerdict = 'next' | 'late-join' | 'gap' | 'restart' | 'overlap';

/** Engines count from 0, llm-d-inference-sim from 1. */
export const firstSeqMax = 1;

/**
 * A publisher counts its batches up and never sends one twice on a live connection. So a step back is a restart,
 * unless a replay made on the same connection ran ahead of the live batches.
 */
export class FeedSequence {
  #last = -1;
  /** Of this connection: the last live batch, and the last one of a replay. */
  #lastLive = -1;
  #replayedTo = -1;
  #missing = 0;
  #lostBatches = 0;

  /** Number of the last batch; -1 before the first. */
  get last(): number {
    return this.#last;
  }

  /** Batches that never came right in front of the last one. */
  get missing(): number {
    return this.#missing;
  }

  /** Batches that never came, of gaps and of late joins. */
  get lostBatches(): number {
    return this.#lostBatches;
  }

  /** What `accept` would say; without effect. */
  judge(seq: number): SequenceVerdict {
    if (seq > this.#lastLive && seq <= this.#replayedTo) return 'overlap';
    return seq <= this.#last ? 'restart' : this.#judgeAhead(seq);
  }

  /** Takes a live batch; what is missing in front of it is lost. */
  accept(seq: number): SequenceVerdict {
    const verdict = this.judge(seq);
    if (verdict === 'restart') this.reset();
    this.#lastLive = seq;
    if (verdict !== 'overlap') this.#advance(seq);
    return verdict;
  }

  /** Takes a batch of a replay. */
  acceptReplayed(seq: number): SequenceVerdict {
    if (seq <= this.#last) return 'overlap';
    const verdict = this.#judgeAhead(seq);
    this.#advance(seq);
    this.#replayedTo = seq;
    return verdict;
  }

  /** A new connection, to a publisher that may be the same or a new one. */
  connected(): void {
    this.#lastLive = -1;
    this.#replayedTo = -1;
  }

  /** What comes next is from a new publisher, or is taken as if it were. */
  reset(): void {
    this.#last = -1;
    this.connected();
  }

  #judgeAhead(seq: number): SequenceVerdict {
    if (this.#last === -1) return seq <= firstSeqMax ? 'next' : 'late-join';
    return seq === this.#last + 1 ? 'next' : 'gap';
  }

  #advance(seq: number): void {
    this.#missing = this.#last === -1 && seq <= firstSeqMax ? 0 : seq - this.#last - 1;
    this.#lostBatches += this.#missing;
    this.#last = seq;
  }
}
