// A byte-level tokenizer that moves long texts to a thread, so that the event loop is not blocked.

import type { ByteLevelTokenizer } from './byte-level-tokenizer.ts';
import type { LongText } from './long-text.ts';
import type { ThreadSource } from './thread-messages.ts';
import {
  type ChatInput,
  type EncodedChat,
  type EncodeOptions,
  type RenderedChat,
  type Tokenizer,
  TokenizerError,
} from './tokenizer.ts';
import { type ThreadOptions, TokenizerThread } from './tokenizer-thread.ts';
import { inlineCharsMax, type TokenizerTurn } from './tokenizer-turn.ts';

/** Limits on a template in the calling thread: a few ms. Beyond them the thread renders the chat. */
const inlineLimits = { stepsMax: 30_000, charsMax: 2 * inlineCharsMax };

/** Both paths give the same ids. The thread starts with the first long text. */
export class LongTextTokenizer implements Tokenizer {
  readonly name: string;
  readonly vocabSize: number;
  readonly #inline: ByteLevelTokenizer;
  readonly #thread: TokenizerThread;

  /** @param source from which the thread loads the same tokenizer */
  constructor(inline: ByteLevelTokenizer, source: ThreadSource, options: ThreadOptions = {}) {
    this.name = inline.name;
    this.vocabSize = inline.vocabSize;
    this.#inline = inline;
    this.#thread = new TokenizerThread(source, options);
  }

  encode(text: string | LongText, options?: EncodeOptions): Uint32Array | Promise<Uint32Array> {
    if (typeof text === 'string' && this.#fitsInline(text.length, options?.turn)) {
      return this.#inline.encode(text, options);
    }
    return this.#thread.encode(text, options?.addSpecialTokens ?? true, options?.turn);
  }

  decode(ids: ArrayLike<number>): string {
    return this.#inline.decode(ids);
  }

  renderChat(chat: ChatInput): RenderedChat {
    return this.#inline.renderChat(chat);
  }

  encodeChat(chat: ChatInput, turn?: TokenizerTurn): EncodedChat | Promise<EncodedChat> {
    const rendered = this.#renderInline(chat);
    if (rendered === null) return this.#thread.encodeChat(chat, turn);
    const ids = this.encode(rendered.text, { addSpecialTokens: chat.addSpecialTokens ?? false, turn });
    if (!rendered.exact) return this.#withRest(ids, rendered.rest, rendered.otherParts, turn);
    return ids instanceof Uint32Array ? { ids, exact: true } : ids.then((done) => ({ ids: done, exact: true }));
  }

  /** @returns null if the chat is too much for the calling thread */
  #renderInline(chat: ChatInput): RenderedChat | null {
    const { messages, tools } = chat;
    const chars = messages.chars + (tools?.chars ?? 0) + (chat.chatTemplateKwargs?.chars ?? 0);
    if (chars > inlineCharsMax) return null;
    try {
      return this.#inline.renderChat(chat, inlineLimits);
    } catch (error) {
      if (error instanceof TokenizerError && error.code === 'chat-template-overrun') return null;
      throw error;
    }
  }

  async #withRest(
    ids: Uint32Array | Promise<Uint32Array>,
    rest: string,
    otherParts: number,
    turn: TokenizerTurn | undefined,
  ): Promise<EncodedChat> {
    const counting = this.encode(rest, { addSpecialTokens: false, turn });
    const [certain, { length: restTokens }] = await Promise.all([ids, counting]);
    return { ids: certain, exact: false, restTokens, otherParts };
  }

  close(): Promise<void> {
    return this.#thread.close();
  }

  #fitsInline(chars: number, turn: TokenizerTurn | undefined): boolean {
    const costed = chars * this.#inline.charCost;
    return costed <= inlineCharsMax && (turn === undefined || turn.takeInline(costed));
  }
}
