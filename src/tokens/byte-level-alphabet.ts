// The visible characters that byte-level vocabularies use for the bytes 0 to 255.

/** The character of each byte: itself if it is visible in Latin-1, else one from U+0100 on. */
export const byteCharacters: readonly string[] = characters();

const bytes: ReadonlyMap<string, number> = new Map(byteCharacters.map((character, byte) => [character, byte]));

/** The bytes of a vocabulary token; undefined if it is not written in this alphabet. */
export function bytesOfToken(token: string): Uint8Array | undefined {
  const result = new Uint8Array(token.length);
  for (let at = 0; at < token.length; at++) {
    const byte = bytes.get(token[at]!);
    if (byte === undefined) return undefined;
    result[at] = byte;
  }
  return result;
}

function characters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const visible = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    return String.fromCharCode(visible ? byte : next++);
  });
}
