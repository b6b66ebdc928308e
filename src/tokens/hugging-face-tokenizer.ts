// Any other tokenizer: a Hugging Face tokenizer.json through @huggingface/tokenizers, in a thread.
import type { ChatInput, EncodedChat, EncodeOptions, RenderedChat, Tokenizer } from './tokenizer.ts';
import { type ChatTemplates, chatTemplatesOf, renderChat, type TokenizerFiles } from './tokenizer-files.ts';
import { type ThreadOptions, TokenizerThread } from './tokenizer-thread.ts';

/** Slower than byte-level BPE by far (tens of ms for 7,000 tokens), but not in the calling thread. */
export class HuggingFaceTokenizer implements Tokenizer {
  readonly name: string;
  readonly vocabSize: number;
  readonly #thread: TokenizerThread;
  readonly #templates: ChatTemplates | undefined;

  private constructor(name: string, vocabSize: number, thread: TokenizerThread, templates: ChatTemplates | undefined) {
    this.name = name;
    this.vocabSize = vocabSize;
    this.#thread = thread;
    this.#templates = templates;
  }

  /** @throws TokenizerError `tokenizer-unsupported` or `chat-template-invalid` */
  static async load(files: TokenizerFiles, options: ThreadOptions = {}): Promise<HuggingFaceTokenizer> {
    const { tokenizerFile, configFile } = files;
    const thread = new TokenizerThread({ kind: 'hugging-face', tokenizerFile, configFile }, options);
    try {
      const { vocabSize, addedTokens } = await thread.describe();
      return new HuggingFaceTokenizer(tokenizerFile, vocabSize, thread, chatTemplatesOf(files, addedTokens));
    } catch (error) {
      await thread.close();
      throw error;
    }
  }

  encode(text: string, options?: EncodeOptions): Promise<Uint32Array> {
    return this.#thread.encode(text, options?.addSpecialTokens ?? true);
  }

  decode(ids: ArrayLike<number>): Promise<string> {
    return this.#thread.decode(ids);
  }

  renderChat(chat: ChatInput): RenderedChat {
    return renderChat(this.name, this.#templates, chat);
  }

  async encodeChat(chat: ChatInput): Promise<EncodedChat> {
    const { text, exact } = this.renderChat(chat);
    return { ids: await this.encode(text, { addSpecialTokens: false }), exact };
  }

  close(): Promise<void> {
    return this.#thread.close();
  }
}
