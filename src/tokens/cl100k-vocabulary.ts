// Reads the cl100k_base vocabulary from the js-tiktoken package.

import { assert } from '../core/assert.ts';
import { Vocabulary, vocabularySlots } from './vocabulary.ts';

/** Parses the package's ranks: `! FIRST_RANK TOKEN TOKEN ...`, tokens in base64, with consecutive ranks. */
export function parseRanks(ranks: string): Vocabulary {
  const tokensAt = ranks.indexOf(' ', 2) + 1;
  assert(ranks.startsWith('! 0 ') && ranks.indexOf('\n') === -1, 'the ranks are one line that starts at rank 0');
  // A token has at least four base64 characters and a blank, and at most three bytes per four characters.
  const bytes = new Uint8Array(Math.ceil((ranks.length * 3) / 4));
  const starts = new Uint32Array(Math.ceil(ranks.length / 5) + 1);
  let written = 0;
  let count = 0;
  let bits = 0;
  let bitCount = 0;
  for (let at = tokensAt; at <= ranks.length; at++) {
    const character = at < ranks.length ? ranks.charCodeAt(at) : blank;
    if (character === blank) {
      starts[++count] = written;
      bits = 0;
      bitCount = 0;
    } else if (character !== padding) {
      bits = ((bits << 6) | sextets[character]!) & 0xffff;
      bitCount += 6;
      if (bitCount >= 8) {
        bitCount -= 8;
        bytes[written++] = bits >> bitCount;
      }
    }
  }
  return vocabularyOf(bytes.slice(0, written), starts.slice(0, count + 1));
}

/** @param starts offsets into `bytes`, one more than there are tokens */
export function vocabularyOf(bytes: Uint8Array, starts: Uint32Array): Vocabulary {
  const byteIds = new Uint32Array(256);
  const ids = new Uint32Array(starts.length - 1);
  let singleBytes = 0;
  for (let id = 0; id < ids.length; id++) {
    ids[id] = id;
    if (starts[id + 1]! - starts[id]! !== 1) continue;
    byteIds[bytes[starts[id]!]!] = id;
    singleBytes++;
  }
  assert(singleBytes === 256, 'every byte is a token, once');
  return new Vocabulary({ bytes, starts, slots: vocabularySlots(bytes, starts, ids), byteIds });
}

const blank = 0x20;
const padding = 0x3d;
const sextets: Uint8Array = base64Sextets();

function base64Sextets(): Uint8Array {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const table = new Uint8Array(128);
  for (let value = 0; value < alphabet.length; value++) table[alphabet.charCodeAt(value)] = value;
  return table;
}
