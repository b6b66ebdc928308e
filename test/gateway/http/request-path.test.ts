import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPath } from '../../../src/gateway/http/request-path.ts';
import { RequestError } from '../../../src/wire/openai-error.ts';

/** Decodes escapes of unreserved characters, one by one. Null: refused. */
function naivePath(path: string): string | null {
  let normal = '';
  for (let at = 0; at < path.length; ) {
    if (path[at] !== '%') {
      normal += path[at]!;
      at += 1;
      continue;
    }
    const digits = path.slice(at + 1, at + 3);
    if (!/^[0-9a-f]{2}$/i.test(digits)) return null;
    const code = Number.parseInt(digits, 16);
    if (code < 0x20 || code === 0x7f || code === 0x5c) return null;
    const character = String.fromCharCode(code);
    normal += /[A-Za-z0-9_.~-]/.test(character) ? character : `%${digits.toUpperCase()}`;
    at += 3;
  }
  const [first, ...segments] = normal.split('/');
  if (first !== '' || segments.some((segment) => segment === '.' || segment === '..')) return null;
  return segments.slice(0, -1).includes('') ? null : normal;
}

function readOrNull(target: string): ReturnType<typeof readPath> | null {
  try {
    return readPath(target);
  } catch (error) {
    if (error instanceof RequestError && error.status === 400) return null;
    throw error;
  }
}

describe('readPath', () => {
  it('normalizes as a naive reader does', () => {
    const piece = fc.constantFrom(
      '/',
      '/',
      '/v1',
      'chat',
      'a',
      '1',
      '.',
      '..',
      '~',
      '-',
      '%41',
      '%2e',
      '%2F',
      '%c3',
      '%',
      '%4',
    );
    const path = fc.array(piece, { minLength: 1, maxLength: 8 }).map((pieces) => pieces.join(''));
    const query = fc.constantFrom('', '?', '?a=%2e/..');
    fc.assert(
      fc.property(path, query, (before, behind) => {
        const normal = naivePath(before);
        expect(readOrNull(before + behind)).toEqual(normal === null ? null : { path: normal, query: behind });
      }),
      { numRuns: 2000 },
    );
  });

  it.each(['', '*', 'v1', '/a b', '/a#b', '/é', '/a\\b', '/a"b', '/a/../b', '/a//b', '/%00', '/%5c'])(
    'refuses %j',
    (target) => {
      expect(readOrNull(target)).toBeNull();
    },
  );
});
