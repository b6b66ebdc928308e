import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FeedMemory } from '../../../src/gateway/feeds/feed-memory.ts';
import { FeedSequence } from '../../../src/gateway/feeds/feed-sequence.ts';

const verdicts = (...seqs: number[]): string[] => {
  const sequence = new FeedSequence();
  return seqs.map((seq) => sequence.accept(seq));
};

describe('FeedSequence', () => {
  it('follows a feed from its start', () => {
    expect(verdicts(0, 1, 2)).toEqual(['next', 'next', 'next']);
  });

  it('accepts 1 as a start', () => {
    expect(verdicts(1, 2)).toEqual(['next', 'next']);
    const sequence = new FeedSequence();
    expect(sequence.acceptReplayed(1)).toBe('next');
    expect(sequence.lostBatches).toBe(0);
  });

  it('distinguishes a late join from a gap', () => {
    expect(verdicts(5, 6, 9, 10)).toEqual(['late-join', 'next', 'gap', 'next']);
  });

  it('treats every step back as a restart, also a repeated number', () => {
    expect(verdicts(0, 0, 1)).toEqual(['next', 'restart', 'next']);
    expect(verdicts(7, 8, 0, 1)).toEqual(['late-join', 'next', 'restart', 'next']);
    expect(verdicts(7, 8, 3)).toEqual(['late-join', 'next', 'restart']);
  });

  it('expects a new publisher after a reset', () => {
    const sequence = new FeedSequence();
    sequence.accept(0);
    sequence.reset();
    expect(sequence.accept(3)).toBe('late-join');
  });

  it('drops exactly the live batches that a replay on the same connection delivered', () => {
    const sequence = new FeedSequence();
    sequence.connected();
    expect([0, 1, 2].map((seq) => sequence.acceptReplayed(seq))).toEqual(['next', 'next', 'next']);
    expect([1, 2, 3].map((seq) => sequence.accept(seq))).toEqual(['overlap', 'overlap', 'next']);
    expect(sequence.accept(2)).toBe('restart');
  });

  it('treats a step back on a new connection as a restart, unless replayed there', () => {
    const sequence = new FeedSequence();
    for (const seq of [0, 1, 2, 3]) sequence.accept(seq);
    sequence.connected();
    expect(sequence.judge(2)).toBe('restart');
    sequence.acceptReplayed(4);
    expect(sequence.judge(4)).toBe('overlap');
  });

  it('counts every lost batch of one publisher', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (arrives) => {
        const sequence = new FeedSequence();
        let missing = 0;
        for (const [seq, here] of arrives.entries()) {
          if (!here) continue;
          const verdict = sequence.accept(seq);
          missing += sequence.missing;
          expect(verdict === 'next').toBe(sequence.missing === 0);
        }
        // A feed that starts with 1 counts as complete.
        const seen = arrives.slice(arrives[0] !== true && arrives[1] === true ? 1 : 0, arrives.lastIndexOf(true) + 1);
        expect(sequence.lostBatches).toBe(seen.filter((here) => !here).length);
        expect(missing).toBe(sequence.lostBatches);
      }),
    );
  });
});

describe('FeedMemory', () => {
  it('recognizes recent batches by number and content', () => {
    const memory = new FeedMemory();
    const payload = (text: string): Buffer => Buffer.from(text);
    memory.add(3, payload('three'));
    expect(memory.has(3, payload('three'))).toBe(true);
    expect(memory.has(3, payload('other'))).toBe(false);
    expect(memory.has(4, payload('three'))).toBe(false);
    for (let seq = 4; seq < 300; seq++) memory.add(seq, payload(`${seq}`));
    expect(memory.has(3, payload('three'))).toBe(false);
    expect(memory.has(299, payload('299'))).toBe(true);
    memory.clear();
    expect(memory.has(299, payload('299'))).toBe(false);
  });
});
