// A tokenizer whose tokens are the bytes of the text: small enough to start an engine for every test.

import type { JsonObject } from '../../src/tokens/json-values.ts';
import type { ChatInput, Tokenizer } from '../../src/tokens/tokenizer.ts';

export const toyTokenizer: Tokenizer = {
  name: 'toy',
  vocabSize: 1200,
  encode: (text) => Uint32Array.from(Buffer.from(text.toString())),
  decode: (ids) => Buffer.from(Array.from(ids, (id) => id & 0xff)).toString('utf8'),
  renderChat: ({ messages }: ChatInput) => ({
    text: (messages.value as JsonObject[])
      .map((each) => `<${String(each.get('role'))}>${String(each.get('content'))}`)
      .join(''),
    exact: true,
  }),
  encodeChat: (chat) => ({ ids: Uint32Array.from(Buffer.from(toyTokenizer.renderChat(chat).text)), exact: true }),
  close: () => Promise.resolve(),
};
