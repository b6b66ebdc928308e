// What the rest of kvoyant uses of tokenization.
export { BuiltinTokenizer, loadBuiltinTokenizer } from './builtin-tokenizer.ts';
export { loadTokenizer } from './load-tokenizer.ts';
export {
  type ChatInput,
  type ChatMessage,
  type EncodedChat,
  type EncodeOptions,
  type RenderedChat,
  type Tokenizer,
  TokenizerError,
  type TokenizerErrorCode,
} from './tokenizer.ts';
