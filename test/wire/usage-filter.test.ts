import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UsageFilter } from '../../src/wire/usage-filter.ts';
import { hideNaively } from '../model/naive-usage.ts';

const usage = {
  prompt_tokens: 14,
  total_tokens: 20,
  completion_tokens: 6,
  prompt_tokens_details: { cached_tokens: 8 },
};
const usageEvent = `data: ${JSON.stringify({ id: 'x', choices: [], usage })}\n\n`;
const token = (text: string): string => `data: ${JSON.stringify({ choices: [{ index: 0, text }], usage: null })}\n\n`;
const done = 'data: [DONE]\n\n';

function filtered(pieces: readonly Buffer[]): string {
  const filter = new UsageFilter();
  const passed = pieces.map((piece) => filter.push(piece));
  return Buffer.concat([...passed, filter.end()]).toString('latin1');
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

describe('the usage filter', () => {
  it('removes the usage and nothing else', () => {
    expect(filtered([bytes(token('a') + usageEvent + done)])).toBe(token('a') + done);
    expect(filtered([bytes(token('a')), bytes(usageEvent), bytes(done)])).toBe(token('a') + done);
  });

  it('passes a complete event at once, and an incomplete one when it is complete', () => {
    const filter = new UsageFilter();
    const push = (text: string): string => filter.push(bytes(text)).toString('latin1');
    expect(push(token('a'))).toBe(token('a'));
    expect(push(`${token('b')}data: {"cho`)).toBe(token('b'));
    expect(push('ices":[]}\n')).toBe('');
    expect(push('\ndata: [DONE]')).toBe('data: {"choices":[]}\n\n');
    expect(push('\n\n')).toBe(done);
    expect(push('data: cu')).toBe('');
    expect(filter.end().toString('latin1')).toBe('data: cu');
  });

  it('holds nothing after the usage has passed', () => {
    const filter = new UsageFilter();
    expect(filter.push(bytes(`${usageEvent}data: [DO`)).toString('latin1')).toBe('data: [DO');
    expect(filter.push(bytes('NE]')).toString('latin1')).toBe('NE]');
  });

  it.each([
    ['an error with usage', `data: ${JSON.stringify({ choices: [], usage, error: { message: 'boom' } })}\n\n`],
    ['an error event', 'data: {"error": {"message": "boom", "type": "InternalServerError", "code": 500}}\n\n'],
    ['usage beside a token', `data: ${JSON.stringify({ choices: [{ index: 0, text: '' }], usage })}\n\n`],
    ['no choices, no usage', 'data: {"choices":[],"usage":null}\n\n'],
    ['a comment', ': []\n\n'],
    ['no JSON', 'data: []]\n\n'],
    ['text that quotes it', token(usageEvent)],
  ])('does not change: %s', (_, event) => {
    expect(filtered([bytes(event + done)])).toBe(event + done);
  });

  it('removes only the first one', () => {
    expect(filtered([bytes(usageEvent + usageEvent)])).toBe(usageEvent);
  });

  it('passes an event that is longer than it holds', () => {
    const filter = new UsageFilter();
    const piece = Buffer.alloc(1024, 'x');
    let kept = 0;
    for (let i = 0; i < 1000; i++) {
      kept += piece.length - filter.push(piece).length;
      expect(kept).toBeLessThanOrEqual(UsageFilter.eventBytesMax);
    }
    expect(kept).toBe(0);
    expect(filter.push(bytes(`\n\n${usageEvent}`)).toString('latin1')).toBe('\n\n');
  });

  it('equals a naive reading of the whole stream, wherever it is cut', () => {
    const line = fc.oneof(
      fc.constantFrom(
        'data: [DONE]',
        ': ping []',
        'event: x',
        'data: {"choices":[],',
        'data:"usage":{"prompt_tokens":1}}',
        '\r',
        'data: {"error": {"code": 500}}',
      ),
      fc.constant(usageEvent.trim()),
      fc.string({ maxLength: 12 }).map((text) => token(text).trim()),
      fc.constant(`data: ${JSON.stringify({ usage, choices: [] }, null, 1).replace(/\n */g, ' ')}`),
      fc.constant(`data: ${JSON.stringify({ usage, choices: [], pad: 'x'.repeat(UsageFilter.eventBytesMax - 150) })}`),
    );
    const ending = fc.constantFrom('\n', '\r\n', '\n\n', '\n\n', '\r\n\r\n', '\n\r\n');
    const stream = fc.array(fc.tuple(line, ending), { maxLength: 8 }).map((lines) => lines.flat().join(''));
    fc.assert(
      fc.property(stream, fc.infiniteStream(fc.integer({ min: 1, max: 60 })), (text, cuts) => {
        const whole = bytes(text);
        const stride = whole.length > 10_000 ? 1000 : 1;
        const pieces: Buffer[] = [];
        for (let at = 0; at < whole.length; ) {
          const length = stride * (cuts.next().value as number);
          pieces.push(whole.subarray(at, at + length));
          at += length;
        }
        const single = stride === 1 ? [...whole].map((byte) => Buffer.from([byte])) : pieces;
        const expected = hideNaively(text, UsageFilter.eventBytesMax);
        for (const way of [[whole], pieces, single]) expect(filtered(way)).toBe(expected);
      }),
      { numRuns: 1000 },
    );
  });
});
