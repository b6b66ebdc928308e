// Whether gateway and engine make the same token ids of the same text: if not, no block would ever match, in silence.

import type { Tokenizer } from '../tokens/tokenizer.ts';
import { type EngineProbe, ProbeError } from './engine-probe.ts';

/** `unavailable`: the engine does not tell its token ids. */
export type Parity = 'unchecked' | 'agrees' | 'differs' | 'double-bos' | 'unavailable';

export interface TokenizerVerdict {
  readonly text: Parity;
  readonly chat: Parity;
}

/** Scripts, digits, white space, code and a character of four bytes: where vocabularies part company. */
const probeText =
  'Routing 12345 tokens — déjà vu, Straße, привет, 你好世界, こんにちは, مرحبا 🧭\n\tif (x != 0) { return "ok"; }   \r\n';

const probeMessages = [
  { role: 'system', content: 'You are brief.' },
  { role: 'user', content: probeText },
];

/** @throws ProbeError if the engine can't be reached. */
export async function compareTokenizers(
  probe: EngineProbe,
  model: string,
  tokenizer: Tokenizer,
): Promise<TokenizerVerdict> {
  return {
    text: await compare(
      async () => await tokenizer.encode(probeText),
      () => probe.tokenize({ prompt: probeText }, model),
    ),
    chat: await compare(
      async () => (await tokenizer.encodeChat({ messages: probeMessages })).ids,
      () => probe.tokenize({ messages: probeMessages }, model),
    ),
  };
}

async function compare(own: () => Promise<Uint32Array>, theirs: () => Promise<number[]>): Promise<Parity> {
  let expected: number[];
  try {
    expected = await theirs();
  } catch (error) {
    // An answer with an error status is an engine without the route, or without a chat template.
    if (error instanceof ProbeError && error.status !== 0) return 'unavailable';
    throw error;
  }
  let ids: Uint32Array;
  try {
    ids = await own();
  } catch {
    // A tokenizer that can't do what the engine can, such as one without a chat template.
    return 'differs';
  }
  return ids.length === expected.length && ids.every((id, i) => id === expected[i]) ? 'agrees' : 'differs';
}
