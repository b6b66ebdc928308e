// The exports of the tokens room.

export { BuiltinTokenizer, loadBuiltinTokenizer } from './builtin-tokenizer.ts';
export { JsonText } from './exact-json.ts';
export { type LoadOptions, loadTokenizer } from './load-tokenizer.ts';
export {
  type ChatInput,
  type EncodedChat,
  type EncodeOptions,
  type RenderedChat,
  type Tokenizer,
  TokenizerError,
  type TokenizerErrorCode,
} from './tokenizer.ts';
