// An independent tokenizer package with the interface that the generators need.

import { Tiktoken } from 'js-tiktoken/lite';
import cl100k from 'js-tiktoken/ranks/cl100k_base';
import type { TextCodec } from '../../src/trace/text-source.ts';

export function tiktokenCodec(): TextCodec {
  const tiktoken = new Tiktoken(cl100k);
  return {
    vocabSize: 100_000,
    encode: (text) => Uint32Array.from(tiktoken.encode(text.toString(), [], [])),
    decode: (ids) => tiktoken.decode(Array.from(ids)),
  };
}
