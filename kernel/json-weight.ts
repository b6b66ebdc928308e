// The kernel of src/gateway/exchange/json-weight.ts, in AssemblyScript: counts the bytes of a JSON text that tell its
// weight, sixteen at a time. Built by scripts/build-kernel.mjs into json-weight-kernel.generated.ts.

/** Sixteen counts of one byte each hold so many vectors. */
const vectorsMax: usize = 255;

/** Sum of sixteen counts. */
@inline function sum(counts: v128): u32 {
  const pairs = i16x8.extadd_pairwise_i8x16_u(counts);
  const fours = i32x4.extadd_pairwise_i16x8_u(pairs);
  return (
    i32x4.extract_lane(fours, 0) +
    i32x4.extract_lane(fours, 1) +
    i32x4.extract_lane(fours, 2) +
    i32x4.extract_lane(fours, 3)
  );
}

/** A comparison is -1 in each lane that is equal, so that subtracting it counts. */
@inline function counted(counts: v128, found: v128): v128 {
  return i8x16.sub(counts, found);
}

@inline function add(out: usize, counts: v128): void {
  store<u32>(out, load<u32>(out) + sum(counts));
}

/**
 * Adds the counts of the bytes at `at` to six u32 at `out`: objects and arrays, commas, quotes, bytes beyond ASCII, those
 * of them that continue a character, and control characters. @param length a multiple of 16
 */
export function weigh(at: usize, length: usize, out: usize): void {
  for (const end = at + length; at < end; ) {
    let objects = i8x16.splat(0);
    let commas = i8x16.splat(0);
    let quotes = i8x16.splat(0);
    let foreign = i8x16.splat(0);
    let following = i8x16.splat(0);
    let controls = i8x16.splat(0);
    for (const last = min(end, at + 16 * vectorsMax); at < last; at += 16) {
      const bytes = v128.load(at);
      // `[` and `{` differ in this bit only.
      objects = counted(objects, i8x16.eq(v128.and(bytes, i8x16.splat(<i8>0xdf)), i8x16.splat(0x5b)));
      commas = counted(commas, i8x16.eq(bytes, i8x16.splat(0x2c)));
      quotes = counted(quotes, i8x16.eq(bytes, i8x16.splat(0x22)));
      foreign = counted(foreign, i8x16.lt_s(bytes, i8x16.splat(0)));
      following = counted(following, i8x16.lt_s(bytes, i8x16.splat(<i8>0xc0)));
      controls = counted(controls, i8x16.lt_u(bytes, i8x16.splat(0x20)));
    }
    add(out, objects);
    add(out + 4, commas);
    add(out + 8, quotes);
    add(out + 12, foreign);
    add(out + 16, following);
    add(out + 20, controls);
  }
}
