// Sequence numbers of one publisher: tells in-order batches from losses, restarts and batches already replayed.

/**
 * `next`: in order. `late-join`: the first batch seen is not the publisher's first. `gap`: batches are missing.
 * `restart`: the publisher restarted. `overlap`: a replay has already delivered the batch.
 */
export type SequenceVerdict = 'next' | 'late-join' | 'gap' | 'restart' | 'overlap';

/** Engines count from 0, llm-d-inference-sim from 1. */
export const firstSeqMax = 1;

/**
 * A publisher numbers its batches upwards and never repeats one on a live connection. So a lower number means a
 * restart, unless a replay on the same connection ran ahead of the live batches.
 */
export class FeedSequence {
  #last = -1;
  /** Last live batch and last replayed batch of this connection. */
  #lastLive = -1;
  #replayedTo = -1;
  #missing = 0;
  #lostBatches = 0;

  /** Number of the last batch; -1 before the first. */
  get last(): number {
    return this.#last;
  }

  /** Batches missing directly before the last one. */
  get missing(): number {
    return this.#missing;
  }

  /** Total of missing batches, from gaps and late joins. */
  get lostBatches(): number {
    return this.#lostBatches;
  }

  /** What `accept` would return, without side effects. */
  judge(seq: number): SequenceVerdict {
    if (seq > this.#lastLive && seq <= this.#replayedTo) return 'overlap';
    return seq <= this.#last ? 'restart' : this.#judgeAhead(seq);
  }

  /** Records a live batch; batches missing before it are lost. */
  accept(seq: number): SequenceVerdict {
    const verdict = this.judge(seq);
    if (verdict === 'restart') this.reset();
    this.#lastLive = seq;
    if (verdict !== 'overlap') this.#advance(seq);
    return verdict;
  }

  /** Records a replayed batch. */
  acceptReplayed(seq: number): SequenceVerdict {
    if (seq <= this.#last) return 'overlap';
    const verdict = this.#judgeAhead(seq);
    this.#advance(seq);
    this.#replayedTo = seq;
    return verdict;
  }

  /** All batches up to this one are known from another replica; live ones may repeat them. */
  adopt(seq: number): void {
    this.#last = seq;
    this.#replayedTo = seq;
    this.#missing = 0;
  }

  /** Begins a new connection, to the same publisher or a new one. */
  connected(): void {
    this.#lastLive = -1;
    this.#replayedTo = -1;
  }

  /** Treats the next batch as the first of a new publisher. */
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
