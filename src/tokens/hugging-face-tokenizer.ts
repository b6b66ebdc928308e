// Any other tokenizer: a Hugging Face tokenizer.json through @huggingface/tokenizers, in a thread.
import type { ChatInput, EncodedChat, EncodeOptions, RenderedChat, Tokenizer } from './tokenizer.ts';
import { type ChatTemplates, renderChat, type TokenizerFiles } from './tokenizer-files.ts';
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

  /**
   * @param templatesOf told the texts of the added tokens
   * @throws TokenizerError `tokenizer-unsupported`, or what `templatesOf` throws
   */
  static async load(
    files: TokenizerFiles,
    templatesOf: (addedTokens: readonly string[]) => ChatTemplates | undefined,
    options: ThreadOptions = {},
  ): Promise<HuggingFaceTokenizer> {
    const { tokenizerFile, configFile } = files;
    const thread = new TokenizerThread({ kind: 'hugging-face', tokenizerFile, configFile }, options);
    try {
      const { vocabSize, addedTokens } = await thread.describe();
      return new HuggingFaceTokenizer(tokenizerFile, vocabSize, thread, templatesOf(addedTokens));
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
    const rendered = this.renderChat(chat);
    const ids = await this.encode(rendered.text, { addSpecialTokens: chat.addSpecialTokens ?? false });
    if (rendered.exact) return { ids, exact: true };
    const { rest, otherParts } = rendered;
    const { length: restTokens } = await this.encode(rest, { addSpecialTokens: false });
    return { ids, exact: false, restTokens, otherParts };
  }

  close(): Promise<void> {
    return this.#thread.close();
  }
}
