import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventTemplate } from '../../src/wire/event-template.ts';

const chunk = (text: string, rest = '"finish_reason":null', key = 'content'): string =>
  `data: {"id":"a","choices":[{"delta":{"${key}":${JSON.stringify(text)}},${rest}}]}\n\n`;

function learned(event: string): EventTemplate {
  const template = new EventTemplate();
  expect(template.learn(Buffer.from(event))).toBe(true);
  return template;
}

const matched = (template: EventTemplate, bytes: string, from = 0): number => template.match(Buffer.from(bytes), from);

/** The definition of a match: the events are equal except for one string. */
function differsInTextOnly(event: string, other: string): boolean {
  const blank = (text: string): string => text.replace(/"(content|text)":"(?:[^"\\]|\\.)*"/, '"$1":""');
  return blank(event) === blank(other);
}

describe('EventTemplate', () => {
  it('matches events that differ only in their text, with any escapes', () => {
    const template = learned(chunk(' word'));
    for (const text of ['', ' other', 'say "finish_reason":null', '\\', '\\"', 'content":"', 'ü\u2028\n']) {
      expect(matched(template, chunk(text)), text).toBe(Buffer.byteLength(chunk(text)));
    }
    expect(matched(template, `xx${chunk('b')}yy`, 2)).toBe(chunk('b').length);
  });

  it('matches nothing else', () => {
    const template = learned(chunk(' word'));
    expect(matched(template, chunk(' word', '"finish_reason":"stop"'))).toBe(0);
    expect(matched(template, chunk(' word', '"finish_reason":null,"usage":{}'))).toBe(0);
    expect(matched(template, chunk(' word', '"finish_reason":null', 'reasoning_content'))).toBe(0);
    expect(matched(template, chunk(' word').slice(0, -1))).toBe(0);
    expect(matched(template, chunk(' word').replace('word', 'wo\nrd'))).toBe(0);
    expect(matched(template, chunk(' word').replace('word', 'wo\\\nrd'))).toBe(0);
    expect(matched(template, chunk('x'.repeat(EventTemplate.textBytesMax)))).toBe(0);
    expect(matched(new EventTemplate(), chunk(''))).toBe(0);
    expect(matched(new EventTemplate(), '')).toBe(0);
  });

  it('learns the last of several events', () => {
    for (const end of ['\n\n', '\r\n\r\n']) {
      const event = chunk('b').replace('\n\n', end);
      const template = learned(`data: {"x":1}${end}${event}`);
      expect(matched(template, event)).toBe(event.length);
    }
  });

  it('does not learn events that are long, have no text or several lines, or are broken', () => {
    const template = new EventTemplate();
    const broken = 'data: {"content":"a":"b","finish_reason":null}\n\n';
    for (const event of [
      chunk('x'.repeat(EventTemplate.eventBytesMax)),
      'data: {"finish_reason":null}\n\n',
      `event: a\n${chunk('a')}`,
      chunk('a').replace('\n\n', '\ndata: b\n\n'),
      ': comment\n\n',
      'data: {"content":"a\n\n',
      broken,
      '',
    ]) {
      expect(template.learn(Buffer.from(event)), event.slice(0, 80)).toBe(false);
      expect(template.match(Buffer.from(chunk('a')), 0)).toBe(0);
    }
  });

  it('matches exactly the events that differ in the text only', () => {
    const part = fc.oneof(fc.string(), fc.constantFrom('"', '\\', '"finish_reason":null', 'text":"', '\n', '}'));
    const rest = fc.constantFrom('"finish_reason":null', '"finish_reason":"stop"', '"a":"b","finish_reason":null');
    const event = fc.tuple(part, rest, fc.constantFrom('content', 'text')).map((of) => chunk(...of));
    fc.assert(
      fc.property(event, event, (first, other) => {
        const template = learned(first);
        expect(matched(template, other)).toBe(differsInTextOnly(first, other) ? Buffer.byteLength(other) : 0);
      }),
      { numRuns: 500 },
    );
  });
});
