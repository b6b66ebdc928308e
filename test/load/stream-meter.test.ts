import { describe, expect, it } from 'vitest';
import { StreamMeter } from '../../src/load/stream-meter.ts';

const token = (fields: object = {}, more: object = {}) =>
  JSON.stringify({ choices: [{ index: 0, text: 'a', finish_reason: null, ...fields }], ...more });
const usage = (completion: number) =>
  JSON.stringify({ choices: [], usage: { prompt_tokens: 7, completion_tokens: completion } });

function metered(events: readonly (readonly [number, string])[]): StreamMeter {
  const meter = new StreamMeter();
  for (const [nowMs, data] of events) meter.data(data, nowMs);
  meter.closed();
  return meter;
}

describe('StreamMeter', () => {
  it('measures the first token, not the role, and the gaps between tokens', () => {
    const role = JSON.stringify({ choices: [{ delta: { role: 'assistant', content: '' }, finish_reason: null }] });
    const meter = metered([
      [5, role],
      [10, token()],
      [25, token()],
      [45, token()],
      [46, usage(3)],
      [46, '[DONE]'],
    ]);
    expect(meter.firstTokenMs).toBe(10);
    expect([...meter.gapsMs()]).toEqual([15, 20]);
    expect(meter.outputTokens).toBe(3);
    expect(meter.promptTokens).toBe(7);
    expect(meter.failure).toBeNull();
  });

  it('places tokens of one chunk 0 ms apart: by ids, by running usage, by the final usage', () => {
    const ids = metered([
      [10, token({ token_ids: [1, 2] })],
      [30, token({ token_ids: [3, 4, 5] })],
      [30, '[DONE]'],
    ]);
    expect([...ids.gapsMs()]).toEqual([0, 20, 0, 0]);
    const running = (count: number) => token({}, { usage: { completion_tokens: count } });
    const counted = metered([
      [10, running(1)],
      [30, running(4)],
      [30, '[DONE]'],
    ]);
    expect([...counted.gapsMs()]).toEqual([20, 0, 0]);
    const corrected = metered([
      [10, token()],
      [30, token()],
      [31, usage(4)],
      [31, '[DONE]'],
    ]);
    expect([...corrected.gapsMs()]).toEqual([20, 0, 0]);
    for (const meter of [ids, counted, corrected]) expect(meter.gapsMs()).toHaveLength(meter.outputTokens - 1);
  });

  it('removes a final chunk that was not a token', () => {
    const last = token({ text: '', finish_reason: 'stop' });
    const meter = metered([
      [10, token()],
      [30, token()],
      [30, last],
      [31, usage(2)],
      [31, '[DONE]'],
    ]);
    expect([...meter.gapsMs()]).toEqual([20]);
    expect(meter.outputTokens).toBe(2);
  });

  it('succeeds without any token', () => {
    const meter = metered([
      [1, usage(0)],
      [1, '[DONE]'],
    ]);
    expect([meter.firstTokenMs, meter.outputTokens, meter.failure]).toEqual([null, 0, null]);
  });

  it('fails when cut, on an error event and on malformed data; the first failure stays', () => {
    expect(metered([[1, token()]]).failure).toEqual({ kind: 'cut', message: 'the stream ended without [DONE]' });
    const error = metered([
      [1, token()],
      [2, '{"error": {"message": "boom"}}'],
      [3, '[DONE]'],
    ]);
    expect(error.failure).toEqual({ kind: 'error-event', message: 'boom' });
    expect(
      metered([
        [1, '<html>'],
        [2, token()],
      ]),
    ).toMatchObject({ failure: { kind: 'protocol' }, outputTokens: 0 });
    const done = metered([
      [1, token()],
      [1, '[DONE]'],
    ]);
    done.fail({ kind: 'timeout', message: 'late' });
    expect(done.failure).toBeNull();
  });

  it('does not accept a usage without bound', () => {
    const meter = metered([
      [1, token()],
      [2, usage(1e12)],
      [3, '[DONE]'],
    ]);
    expect(meter.failure).toEqual({ kind: 'protocol', message: 'more than 1000000 output tokens' });
    expect(meter.gapsMs()).toHaveLength(0);
  });
});
