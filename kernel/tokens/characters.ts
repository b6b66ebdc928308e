// Classes of characters in UTF-8 text, from a table in two stages: one page number for each 256 code points, and pages
// of 256 classes, of which equal ones are stored once: a few cache lines for any one script.

export const other: u32 = 0;
export const letter: u32 = 1;
export const number: u32 = 2;
export const space: u32 = 3;
export const newline: u32 = 4;
export const upper: u32 = 5;
export const lower: u32 = 6;
export const mark: u32 = 7;
export const symbol: u32 = 8;
/** Added to the class of a character that DeepSeek's second regex isolates. */
export const eastern: u32 = 16;

/** A u16 for each 256 code points. */
let pageNumbers: usize = 0;
/** Page 0 has the first 256 code points. */
let pages: usize = 0;

export function placeClasses(numbersAt: usize, pagesAt: usize): void {
  pageNumbers = numbersAt;
  pages = pagesAt;
}

/** Length of the character with this first byte. */
@inline export function characterBytes(lead: u32): usize {
  if (lead < 0x80) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

/** Class of the character that starts at `at`. */
@inline export function classAt(at: usize): u32 {
  const lead = <u32>load<u8>(at);
  return lead < 0x80 ? asciiClass(lead) : wideClassAt(at, lead);
}

@inline export function asciiClass(byte: u32): u32 {
  return load<u8>(pages + byte);
}

export function wideClassAt(at: usize, lead: u32): u32 {
  const second = <u32>load<u8>(at, 1) & 0x3f;
  if (lead < 0xe0) return classOf(((lead & 0x1f) << 6) | second);
  const third = <u32>load<u8>(at, 2) & 0x3f;
  if (lead < 0xf0) return classOf(((lead & 0x0f) << 12) | (second << 6) | third);
  return classOf(((lead & 0x07) << 18) | (second << 12) | (third << 6) | (<u32>load<u8>(at, 3) & 0x3f));
}

@inline function classOf(codePoint: u32): u32 {
  const page = <u32>load<u16>(pageNumbers + ((codePoint >> 8) << 1));
  return load<u8>(pages + ((page << 8) | (codePoint & 0xff)));
}
