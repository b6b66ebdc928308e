import { describe, expect, it } from 'vitest';
import { wrapText } from '../../src/report/wrap-text.ts';

describe('wrapText', () => {
  it('fills lines up to the width and indents all but the first', () => {
    expect(wrapText('one two three four', 9)).toEqual(['one two', 'three', 'four']);
    expect(wrapText('one two three four', 9, '  ')).toEqual(['one two', '  three', '  four']);
    expect(wrapText('exactly', 7)).toEqual(['exactly']);
  });

  it('keeps a long word whole', () => {
    expect(wrapText('incomprehensible it is', 5)).toEqual(['incomprehensible', 'it is']);
  });
});
