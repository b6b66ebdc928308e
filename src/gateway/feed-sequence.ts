// The sequence numbers of one publisher: tells in-order batches from losses, restarts, and what a replay has brought already.

/**
 * `next`: in order. `late-join`: the first batch seen is not the publisher's first. `gap`: batches are missing.
 * `restart`: the publisher began anew. `overlap`: a replay has delivered it already.
 */
export type SequenceVerdict = 'next' | 'late-join' | 'gap' | 'restart' | 'overlap';

/**
 * A publisher counts its batches from 0 and never sends one twice on a live connection. So a step back is a restart,
 * unless a replay made on the same connection ran ahead of the live batches.
 */
export class FeedSequence {
  #last = -1;
  /** Of this connection: the last live batch, and the last one of a replay. */
  #lastLive = -1;
  #replayedTo = -1;
  #lostBatches = 0;

  /** Number of the last batch; -1 before the first. */
  get last(): number {
    return this.#last;
  }

  /** Batches that never came, of gaps and of late joins. */
  get lostBatches(): number {
    return this.#lostBatches;
  }

  /** What `accept` would say; without effect. */
  judge(seq: number): SequenceVerdict {
    if (seq > this.#lastLive && seq <= this.#replayedTo) return 'overlap';
    if (seq === this.#last + 1) return 'next';
    if (seq <= this.#last) return 'restart';
    return this.#last === -1 ? 'late-join' : 'gap';
  }

  /** Takes a live batch; what is missing in front of it is lost. */
  accept(seq: number): SequenceVerdict {
    const verdict = this.judge(seq);
    if (verdict === 'restart') this.reset();
    this.#lastLive = seq;
    if (verdict !== 'overlap') this.#advance(seq);
    return verdict;
  }

  /** Takes a batch of a replay that began behind `last`. */
  acceptReplayed(seq: number): SequenceVerdict {
    if (seq <= this.#last) return 'overlap';
    const verdict = seq === this.#last + 1 ? 'next' : this.#last === -1 ? 'late-join' : 'gap';
    this.#advance(seq);
    this.#replayedTo = seq;
    return verdict;
  }

  /** A new connection, to a publisher that may be the same or a new one. */
  connected(): void {
    this.#lastLive = -1;
    this.#replayedTo = -1;
  }

  /** The publisher is known to be gone: whatever comes next is from a new one. */
  reset(): void {
    this.#last = -1;
    this.connected();
  }

  #advance(seq: number): void {
    this.#lostBatches += seq - this.#last - 1;
    this.#last = seq;
  }
}
