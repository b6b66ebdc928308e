// The engine compared with a trace whose batches were derived by hand byte for byte, and with a real vLLM's.

import { describe, expect, it } from 'vitest';
import { Engine, type EngineOptions, type EngineRequest, engineDefaults } from '../../src/sim/index.ts';
import { decodeKvBatch, encodeKvBatch } from '../../src/wire/kv-events.ts';
import { sha256BlockHash } from '../../src/worker/sha256-block-hash.ts';
import captures from '../golden/kv-event-captures.json' with { type: 'json' };
import golden from '../golden/kv-event-vectors.json' with { type: 'json' };

const timestampS = 1757500000.25;

interface TraceStep {
  readonly tokens: number;
  readonly freeQueue: number[];
  readonly payloadHex: string | null;
}

interface TraceRequest {
  readonly prompt: Uint32Array;
  readonly outputTokensMax: number;
}

function range(from: number, to: number): Uint32Array {
  return Uint32Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

function engineOf(options: Partial<EngineOptions>): Engine {
  return new Engine({ ...engineDefaults, blocks: 6, sequencesMax: 4, blockHash: sha256BlockHash('0'), ...options });
}

/** Runs the requests one after the other. */
function runTrace(engine: Engine, requests: readonly TraceRequest[]): { steps: TraceStep[]; cachedTokens: number[] } {
  const steps: TraceStep[] = [];
  const cachedTokens: number[] = [];
  for (const spec of requests) {
    const submission = engine.submit(spec);
    if (submission.kind !== 'accepted') throw new Error(submission.reason);
    for (let step = engine.step(); step !== null; step = engine.step()) {
      engine.assertConsistent();
      const payload = step.events.length === 0 ? null : encodeKvBatch(timestampS, 0, step.events).toString('hex');
      steps.push({ tokens: step.load.tokens, freeQueue: engine.freeQueue(), payloadHex: payload });
    }
    cachedTokens.push(submission.request.cachedTokens);
  }
  return { steps, cachedTokens };
}

describe('the worked trace', () => {
  const requests: TraceRequest[] = [
    { prompt: range(1, 10), outputTokensMax: 3 },
    { prompt: range(1, 8), outputTokensMax: 1 },
    { prompt: range(100, 111), outputTokensMax: 1 },
    { prompt: range(1, 9), outputTokensMax: 1 },
  ];
  const small = {
    blockSize: 4,
    stepTokensMax: 8,
    sampleToken: (request: EngineRequest) => 901 + request.outputTokens,
  };
  const [seq0, seq1, seq2, seq3, seq4, seq5] = golden.workedTrace as [string, string, string, string, string, string];
  const expected: TraceStep[] = [
    { tokens: 8, freeQueue: [3, 4, 5], payloadHex: seq0 },
    { tokens: 2, freeQueue: [4, 5], payloadHex: null },
    { tokens: 1, freeQueue: [4, 5], payloadHex: null },
    { tokens: 1, freeQueue: [4, 5, 3, 2, 1], payloadHex: seq1 },
    { tokens: 4, freeQueue: [5, 3, 2, 4, 1], payloadHex: seq2 },
    { tokens: 8, freeQueue: [2, 4, 1], payloadHex: seq3 },
    { tokens: 4, freeQueue: [4, 1, 2, 3, 5], payloadHex: seq4 },
    { tokens: 1, freeQueue: [2, 3, 5, 4, 1], payloadHex: seq5 },
  ];

  it('matches byte for byte', () => {
    const { steps, cachedTokens } = runTrace(engineOf(small), requests);
    expect(steps).toEqual(expected);
    expect(cachedTokens).toEqual([0, 4, 0, 8]);
  });

  it('appends the unhashed block like engines up to 0.23', () => {
    const { steps } = runTrace(engineOf({ ...small, freeUnhashedFirst: false }), requests);
    expect(steps.slice(0, 7)).toEqual(expected.slice(0, 7));
    expect(steps[7]!.freeQueue).toEqual([3, 5, 2, 4, 1]);
  });

  it('gives the batches of a real vLLM 0.32 if scaled by 8', () => {
    const captured = captures['trace-v0.32-bs32'];
    // The real model's samples: A repeats one token, F alternates between two.
    const tokensOf = (index: number): Uint32Array => {
      const batch = decodeKvBatch(Buffer.from(captured[index]!.payloadHex, 'hex'));
      if (batch.kind !== 'batch' || batch.events[0]?.kind !== 'stored') throw new Error('no store here');
      return batch.events[0].tokens;
    };
    const outputsOfA = tokensOf(1).subarray(16);
    const outputsOfF = tokensOf(6).subarray(21);
    const sampleToken = (request: EngineRequest): number => {
      const outputs = request.tokens[0] === 1 ? outputsOfA : outputsOfF;
      return outputs[request.outputTokens] ?? 0;
    };
    const engine = engineOf({ blockSize: 32, stepTokensMax: 64, contextTokensMax: 160, sampleToken });
    const { steps, cachedTokens } = runTrace(engine, [
      { prompt: range(1, 80), outputTokensMax: 17 },
      { prompt: range(1, 64), outputTokensMax: 1 },
      { prompt: range(1000, 1095), outputTokensMax: 1 },
      { prompt: range(1, 72), outputTokensMax: 1 },
      { prompt: range(500, 520), outputTokensMax: 1 },
      { prompt: range(600, 620), outputTokensMax: 17 },
    ]);
    expect(cachedTokens).toEqual([0, 32, 0, 64, 0, 0]);
    const published = steps.flatMap(({ payloadHex }) => (payloadHex === null ? [] : [payloadHex]));
    // Both after the header byte and the timestamp.
    expect(published.map((hex) => hex.slice(20))).toEqual(captured.map(({ payloadHex }) => payloadHex.slice(20)));
  });
});
