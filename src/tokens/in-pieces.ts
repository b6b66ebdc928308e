// Bytes that go to a thread in pieces, one per turn of the event loop: a copy of 30 MB would be one long turn.
//
// Their memory is copied, not transferred, although a transfer would save 0.1 ms a piece. It would detach a buffer, and
// after the first one V8 throws away the thread's optimized code and tests at every access whether an array is detached
// (src/tokens/token-kernel.ts).

import { assert } from '../core/assert.ts';

/** Copying a piece twice takes about a millisecond. */
export const pieceBytesMax: number = 1024 * 1024;

/** Memory of each whole piece until it is posted: its own for each would be garbage, 30 MB of it for a large body. */
const wholePiece = new Uint8Array(pieceBytesMax);

/** Part of a text; a thread puts them together. */
export interface BytesPiece {
  /** Number of the text. */
  readonly text: number;
  /** Bytes of the whole text. */
  readonly totalBytes: number;
  /** Where the piece begins. */
  readonly at: number;
  /** Its own memory: with a view, a message would carry the whole buffer. */
  readonly bytes: Uint8Array;
}

/**
 * @param post is handed each piece, and must copy its bytes: their memory is used again
 * @param isWanted asked before each piece
 * @returns whether all pieces were posted
 */
export async function postInPieces(
  text: number,
  bytes: Uint8Array,
  post: (piece: BytesPiece) => void,
  isWanted: () => boolean,
): Promise<boolean> {
  for (let at = 0; at === 0 || at < bytes.length; at += pieceBytesMax) {
    if (at > 0) await laterTurn();
    if (!isWanted()) return false;
    post({ text, totalBytes: bytes.length, at, bytes: pieceOf(bytes, at) });
  }
  return true;
}

function pieceOf(bytes: Uint8Array, at: number): Uint8Array {
  // `Uint8Array.prototype`: `slice` of a Buffer does not copy.
  if (bytes.length - at < pieceBytesMax) return Uint8Array.prototype.slice.call(bytes, at);
  wholePiece.set(bytes.subarray(at, at + pieceBytesMax));
  return wholePiece;
}

export function laterTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The texts of which pieces have arrived, each for a group of tasks. */
export class ArrivingTexts {
  readonly #texts = new Map<number, { readonly group: number; readonly bytes: Buffer }>();

  add(group: number, { text, totalBytes, at, bytes }: BytesPiece): void {
    let whole = this.#texts.get(text);
    if (whole === undefined) {
      whole = { group, bytes: Buffer.allocUnsafeSlow(totalBytes) };
      this.#texts.set(text, whole);
    }
    whole.bytes.set(bytes, at);
  }

  /** To be called once, when all pieces have arrived. */
  take(text: number): Buffer {
    const whole = this.#texts.get(text);
    assert(whole !== undefined, 'a text arrives before its task');
    this.#texts.delete(text);
    return whole.bytes;
  }

  /** O(texts) */
  dropGroup(group: number): void {
    for (const [text, whole] of this.#texts) if (whole.group === group) this.#texts.delete(text);
  }
}
