// Byte-pair encoding by its definition: words from a regex, and a search over all pairs for each merge.

/** Split patterns as JavaScript's regexes, with the Unicode version of the Node that runs them. */
export const patterns = {
  gpt2: /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu,
  cl100k:
    /'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+/gu,
  qwen: /'(?:[sSſtTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+/gu,
  o200k:
    /[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?:'(?:[sSſtTmMdD]|[rR][eE]|[vV][eE]|[lL][lL]))?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?:'(?:[sSſtTmMdD]|[rR][eE]|[vV][eE]|[lL][lL]))?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+/gu,
  tekken:
    /[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+/gu,
  qwen35:
    /'(?:[sSſtTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+/gu,
  deepSeek: [
    /\p{N}{1,3}/gu,
    /[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+/gu,
    /[!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+/gu,
  ],
} as const;

/** The words of a text by a split pattern, or by several, each applied to the matches and gaps of the one before. */
export function naiveWords(text: string, pattern: RegExp | readonly RegExp[] = patterns.cl100k): string[] {
  const series = pattern instanceof RegExp ? [pattern] : pattern;
  // Lone surrogates become a symbol in UTF-8.
  const whole = [text.replace(/\p{Surrogate}/gu, '\ufffd')];
  return series.reduce((pieces, regex) => pieces.flatMap((piece) => matchesAndGaps(piece, regex)), whole);
}

function matchesAndGaps(text: string, regex: RegExp): string[] {
  const matches = text.match(regex) ?? [];
  const gaps = text.split(regex);
  return gaps.flatMap((gap, index) => [gap, matches[index] ?? '']).filter((piece) => piece !== '');
}

/** @param ranks token (bytes as a latin1 string) -> rank, which is the id too */
export function naiveMerge(bytes: Uint8Array, ranks: ReadonlyMap<string, number>): number[] {
  let parts = Array.from(bytes, (byte) => String.fromCharCode(byte));
  for (;;) {
    let lowest = Number.POSITIVE_INFINITY;
    let at = -1;
    for (let index = 0; index + 1 < parts.length; index++) {
      const rank = ranks.get(parts[index]! + parts[index + 1]!);
      if (rank !== undefined && rank < lowest) {
        lowest = rank;
        at = index;
      }
    }
    if (at === -1) break;
    parts = [...parts.slice(0, at), parts[at]! + parts[at + 1]!, ...parts.slice(at + 2)];
  }
  return parts.map((part) => ranks.get(part)!);
}
