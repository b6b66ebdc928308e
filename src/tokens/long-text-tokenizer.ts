// A byte-level tokenizer for an event loop: texts that would hold it up go to a thread.
import type { ByteLevelTokenizer } from './byte-level-tokenizer.ts';
import type { ChatInput, EncodedChat, EncodeOptions, RenderedChat, Tokenizer } from './tokenizer.ts';
import { type ThreadOptions, type ThreadSource, TokenizerThread } from './tokenizer-thread.ts';

/** Text that is tokenized in the calling thread: 2 ms as a rule, tens of ms at the very worst. */
const inlineCharsMax = 65_536;

/** Same ids on either path. The thread starts with the first long text. */
export class LongTextTokenizer implements Tokenizer {
  readonly name: string;
  readonly vocabSize: number;
  readonly #inline: ByteLevelTokenizer;
  readonly #thread: TokenizerThread;

  /** @param source where the thread finds the same tokenizer */
  constructor(inline: ByteLevelTokenizer, source: ThreadSource, options: ThreadOptions = {}) {
    this.name = inline.name;
    this.vocabSize = inline.vocabSize;
    this.#inline = inline;
    this.#thread = new TokenizerThread(source, options);
  }

  encode(text: string, options?: EncodeOptions): Uint32Array | Promise<Uint32Array> {
    if (text.length <= inlineCharsMax) return this.#inline.encode(text, options);
    return this.#thread.encode(text, options?.addSpecialTokens ?? true);
  }

  decode(ids: ArrayLike<number>): string {
    return this.#inline.decode(ids);
  }

  renderChat(chat: ChatInput): RenderedChat {
    return this.#inline.renderChat(chat);
  }

  encodeChat(chat: ChatInput): EncodedChat | Promise<EncodedChat> {
    const rendered = this.renderChat(chat);
    const ids = this.encode(rendered.text, { addSpecialTokens: chat.addSpecialTokens ?? false });
    if (!rendered.exact) return this.#withRest(ids, rendered.rest, rendered.otherParts);
    return ids instanceof Uint32Array ? { ids, exact: true } : ids.then((done) => ({ ids: done, exact: true }));
  }

  async #withRest(ids: Uint32Array | Promise<Uint32Array>, rest: string, otherParts: number): Promise<EncodedChat> {
    const [certain, { length: restTokens }] = await Promise.all([ids, this.encode(rest, { addSpecialTokens: false })]);
    return { ids: certain, exact: false, restTokens, otherParts };
  }

  close(): Promise<void> {
    return this.#thread.close();
  }
}
