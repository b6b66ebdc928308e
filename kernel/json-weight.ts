// The kernel of src/gateway/exchange/json-weight.ts, in AssemblyScript: counts the bytes of a JSON text that tell its
// weight, sixteen at a time. Built by scripts/build-kernel.mjs into json-weight-kernel.generated.ts.

@inline function count(bytes: v128): u32 {
  return <u32>popcnt<i32>(i8x16.bitmask(bytes));
}

/**
 * Adds the counts of the bytes at `at` to five u32 at `out`: objects and arrays, commas, quotes, bytes beyond ASCII, and
 * those of them that continue a character. @param length a multiple of 16
 */
export function weigh(at: usize, length: usize, out: usize): void {
  let objects: u32 = 0;
  let commas: u32 = 0;
  let quotes: u32 = 0;
  let foreign: u32 = 0;
  let following: u32 = 0;
  for (const end = at + length; at < end; at += 16) {
    const bytes = v128.load(at);
    // `[` and `{` differ in this bit only.
    objects += count(i8x16.eq(v128.and(bytes, i8x16.splat(<i8>0xdf)), i8x16.splat(0x5b)));
    commas += count(i8x16.eq(bytes, i8x16.splat(0x2c)));
    quotes += count(i8x16.eq(bytes, i8x16.splat(0x22)));
    foreign += count(bytes);
    following += count(i8x16.lt_s(bytes, i8x16.splat(<i8>0xc0)));
  }
  store<u32>(out, load<u32>(out) + objects);
  store<u32>(out, load<u32>(out, 4) + commas, 4);
  store<u32>(out, load<u32>(out, 8) + quotes, 8);
  store<u32>(out, load<u32>(out, 12) + foreign, 12);
  store<u32>(out, load<u32>(out, 16) + following, 16);
}
