// The texts of the split patterns that have a scanner, exactly as tokenizer.json files have them.

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const prefix = '[^\\r\\n\\p{L}\\p{N}]?';
const spaces = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';

const cl100kLike = (numbers: string): string =>
  `${contractions}|${prefix}\\p{L}+|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${spaces}`;
const o200kLike = (numbers: string, contraction: string): string =>
  `${prefix}${upper}*${lower}+${contraction}|${prefix}${upper}+${lower}*${contraction}|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${spaces}`;

export const gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
export const cl100kPattern: string = cl100kLike('\\p{N}{1,3}');
export const qwenPattern: string = cl100kLike('\\p{N}');
/** Qwen 3.5 and later: marks belong to words. */
export const markedPattern: string = `${contractions}|${prefix}[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${spaces}`;
export const o200kPattern: string = o200kLike('\\p{N}{1,3}', `${contractions}?`);
export const tekkenPattern: string = o200kLike('\\p{N}', '');

/** Whitespace in JavaScript, and so in js-tiktoken. */
const white = '\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff';

/** The pattern of the builtin tokenizer: cl100k with that whitespace and ASCII case folding only. */
export const builtinPattern: string =
  `'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|${prefix}\\p{L}+|\\p{N}{1,3}| ?[^${white}\\p{L}\\p{N}]+[\\r\\n]*` +
  `|[${white}]*[\\r\\n]+|[${white}]+(?![^${white}])|[${white}]+`;

/** DeepSeek V3, R1 and later. CR and LF are themselves in their files, not escapes. */
export const deepSeekPatterns: readonly string[] = [
  '\\p{N}{1,3}',
  '[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+',
  '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+' +
    '| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+',
];

/** Patterns that leave no character of a text unmatched. */
export const gaplessPatterns: ReadonlySet<string> = new Set([
  cl100kPattern,
  qwenPattern,
  markedPattern,
  o200kPattern,
  tekkenPattern,
]);
