// Any other tokenizer: a Hugging Face tokenizer.json through @huggingface/tokenizers, in a thread.

import type { LongText } from './long-text.ts';
import type { ChatInput, EncodedChat, EncodeOptions, RenderedChat, Tokenizer } from './tokenizer.ts';
import {
  type ChatTemplates,
  noTemplate,
  renderChat,
  type TokenizerFiles,
  templateSourcesOf,
} from './tokenizer-files.ts';
import { type ThreadOptions, TokenizerThread } from './tokenizer-thread.ts';
import type { TokenizerTurn } from './tokenizer-turn.ts';

/** The library can't be interrupted and does about 100 characters per ms, so longer texts get a thread of their own. */
const shortCharsMax = 16_384;
/** A longer text would block that thread for more than ten seconds. */
const libraryCharsMax = 1_048_576;

interface Threads {
  readonly short: TokenizerThread;
  /** Started with the first long text. */
  readonly long: TokenizerThread;
}

/** Much slower than byte-level BPE (tens of ms for 7,000 tokens), but not in the calling thread. */
export class HuggingFaceTokenizer implements Tokenizer {
  readonly name: string;
  readonly vocabSize: number;
  readonly #threads: Threads;
  readonly #templates: ChatTemplates | undefined;

  private constructor(name: string, vocabSize: number, threads: Threads, templates: ChatTemplates | undefined) {
    this.name = name;
    this.vocabSize = vocabSize;
    this.#threads = threads;
    this.#templates = templates;
  }

  /**
   * @param templatesOf gets the texts of the added tokens
   * @throws TokenizerError `tokenizer-unsupported`, or what `templatesOf` throws
   */
  static async load(
    files: TokenizerFiles,
    templatesOf: (addedTokens: readonly string[]) => ChatTemplates | undefined,
    options: ThreadOptions = {},
  ): Promise<HuggingFaceTokenizer> {
    const { tokenizerFile, configFile } = files;
    const templates = templateSourcesOf(files) ?? null;
    const source = { kind: 'hugging-face', tokenizerFile, configFile, templates } as const;
    const thread = new TokenizerThread(source, { textCharsMax: libraryCharsMax, ...options });
    try {
      const { vocabSize, addedTokens } = await thread.describe();
      return new HuggingFaceTokenizer(
        tokenizerFile,
        vocabSize,
        { short: thread, long: new TokenizerThread(source, { textCharsMax: libraryCharsMax, ...options }) },
        templatesOf(addedTokens),
      );
    } catch (error) {
      await thread.close();
      throw error;
    }
  }

  encode(text: string | LongText, options?: EncodeOptions): Promise<Uint32Array> {
    return this.#threadFor(text.length).encode(text, options?.addSpecialTokens ?? true, options?.turn);
  }

  decode(ids: ArrayLike<number>): Promise<string> {
    return this.#threads.short.decode(ids);
  }

  renderChat(chat: ChatInput): RenderedChat {
    return renderChat(this.name, this.#templates, chat);
  }

  async encodeChat(chat: ChatInput, turn?: TokenizerTurn): Promise<EncodedChat> {
    const { messages, tools } = chat;
    if (this.#templates === undefined) throw noTemplate(this.name);
    return this.#threadFor(messages.chars + (tools?.chars ?? 0)).encodeChat(chat, turn);
  }

  async close(): Promise<void> {
    await Promise.all([this.#threads.short.close(), this.#threads.long.close()]);
  }

  #threadFor(chars: number): TokenizerThread {
    return chars <= shortCharsMax ? this.#threads.short : this.#threads.long;
  }
}
