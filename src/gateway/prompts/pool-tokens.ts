// Decides where the token ids of a pool's prompts come from: the gateway's tokenizer, its engines, or nowhere.
//
// Text: the tokenizer if there is one; engines that disagree with it are refused. Chats: the tokenizer if any engine
// agrees with it or none disagrees. Otherwise, and for chats that the tokenizer can't render, engines are asked.

import { type ChatFeature, chatFeatures, factsOf } from '../../tokens/chat-facts.ts';
import type { LongText } from '../../tokens/long-text.ts';
import {
  type ChatInput,
  type EncodedChat,
  type EncodeOptions,
  type Tokenizer,
  TokenizerError,
  type TokenizerErrorCode,
} from '../../tokens/tokenizer.ts';
import type { TokenizerTurn } from '../../tokens/tokenizer-turn.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { Engine } from '../engines/engine.ts';
import type { Parity } from '../engines/tokenizer-verdict.ts';
import { EngineAsking, type QuestionKind } from './engine-asking.ts';
import { EngineTokenizer } from './engine-tokenizer.ts';
import type { PromptTokenizer } from './prompt-tokens.ts';

/** Source of token ids; `bytes`: unknown, so bytes stand in for tokens. */
export type TokensFrom = 'tokenizer' | 'engine' | 'bytes';

export type TokensInForce = Readonly<Record<QuestionKind, TokensFrom>>;

/** Failures of the tokenizer where an engine may succeed. */
const engineMayDo: ReadonlySet<TokenizerErrorCode> = new Set([
  'chat-template-missing',
  'chat-template-invalid',
  'chat-template-refused',
  'chat-beyond-template',
  'message-invalid',
]);

export class PoolTokens {
  readonly #config: GatewayConfig;
  readonly #tokenizer: Tokenizer | null;
  readonly #engines: () => Iterable<Engine>;
  readonly #engineTokenizer: EngineTokenizer;
  #toldInForce: TokensInForce | null = null;

  /** @param engines of the pool; may list one several times */
  constructor(config: GatewayConfig, tokenizer: Tokenizer | null, engines: () => Iterable<Engine>) {
    this.#config = config;
    this.#tokenizer = tokenizer;
    this.#engines = engines;
    const { tokenizeMsMax: timeoutMs } = config;
    this.#engineTokenizer = new EngineTokenizer(new EngineAsking(engines, timeoutMs), { timeoutMs });
  }

  /** The sources given the engines that take requests, or all engines if none does. */
  inForce(): TokensInForce {
    return { text: this.#textFrom(), chat: this.#chatFrom() };
  }

  /** Whether the tokenizer alone tells the ids of every prompt: no engine is known to need others. */
  get isOwn(): boolean {
    const { text, chat } = this.inForce();
    if (text !== 'tokenizer' || chat !== 'tokenizer') return false;
    if (this.#config.trustTokenizer) return true;
    for (const { tokenizer } of this.#engines()) if ((tokenizer.differing?.length ?? 0) > 0) return false;
    return true;
  }

  /** The setting `tokenizer` of the pool. */
  get source(): string {
    return this.#config.tokenizer;
  }

  /** Whether prompts have the same tokens here as in the other pool. */
  agreesWith(other: PoolTokens): boolean {
    return other === this || (this.source === other.source && this.isOwn && other.isOwn);
  }

  /** Whether `inForce` has changed since the last call. */
  changed(): boolean {
    const { text, chat } = this.inForce();
    const before = this.#toldInForce;
    this.#toldInForce = { text, chat };
    return before !== null && (before.text !== text || before.chat !== chat);
  }

  /** Null if bytes are wanted. */
  forModel(model: string): PromptTokenizer | null {
    if (this.#config.tokenizer === 'none') return null;
    return {
      encode: (text, options) => this.#encode(model, text, options),
      encodeChat: (chat, turn) => this.#encodeChat(model, chat, turn),
    };
  }

  /** Forgets the engines' cached answers: an engine has joined, or restarted. */
  forget(): void {
    this.#engineTokenizer.forget();
  }

  /** Open questions fail. */
  close(): Promise<void> {
    return this.#engineTokenizer.close();
  }

  #textFrom(): TokensFrom {
    if (this.#config.tokenizer === 'none') return 'bytes';
    if (this.#tokenizer !== null) return 'tokenizer';
    return this.#some('text', 'asked') ? 'engine' : 'bytes';
  }

  #chatFrom(): TokensFrom {
    const { tokenizer, trustTokenizer } = this.#config;
    if (tokenizer === 'none') return 'bytes';
    if (this.#tokenizer === null) return this.#some('chat', 'asked') ? 'engine' : 'bytes';
    if (trustTokenizer || this.#some('chat', 'agrees')) return 'tokenizer';
    return this.#some('chat', 'differs', 'double-bos') ? 'engine' : 'tokenizer';
  }

  /** O(engines); stops at the first match. */
  #some(kind: QuestionKind, ...verdicts: readonly Parity[]): boolean {
    let someReady = false;
    let someFit = false;
    for (const { tokenizer, takesRequests } of this.#engines()) {
      const fits = verdicts.includes(tokenizer[kind]);
      if (fits && takesRequests) return true;
      someReady ||= takesRequests;
      someFit ||= fits;
    }
    return someFit && !someReady;
  }

  /** True if an engine renders a feature of the chat differently, and none renders it as the tokenizer does. */
  #someFeatureDiffers(chat: ChatInput): boolean {
    if (this.#config.trustTokenizer) return false;
    const differing = new Set<ChatFeature>();
    const agreed = new Set<ChatFeature>();
    for (const { tokenizer, takesRequests } of this.#engines()) {
      if (!takesRequests || tokenizer.chat !== 'agrees') continue;
      for (const feature of chatFeatures) {
        (tokenizer.differing?.includes(feature) ? differing : agreed).add(feature);
      }
    }
    if (differing.size === 0) return false;
    return factsOf(chat).features.some((feature) => differing.has(feature) && !agreed.has(feature));
  }

  #encode(model: string, text: string | LongText, options?: EncodeOptions): Uint32Array | Promise<Uint32Array> {
    return this.#tokenizer?.encode(text, options) ?? this.#engineTokenizer.encode(model, text, options);
  }

  #encodeChat(model: string, chat: ChatInput, turn?: TokenizerTurn): EncodedChat | Promise<EncodedChat> {
    const tokenizer = this.#tokenizer;
    if (tokenizer === null || this.#chatFrom() === 'engine' || this.#someFeatureDiffers(chat))
      return this.#engineTokenizer.encodeChat(model, chat);
    const askInstead = (error: unknown): EncodedChat | Promise<EncodedChat> => {
      if (!(error instanceof TokenizerError) || !engineMayDo.has(error.code)) throw error;
      // The tokenizer's own error says more than that no engine can be asked.
      if (!this.#engineTokenizer.canAsk('chat', model)) throw error;
      return this.#engineTokenizer.encodeChat(model, chat);
    };
    try {
      const encoded = tokenizer.encodeChat(chat, turn);
      return encoded instanceof Promise ? encoded.catch(askInstead) : encoded;
    } catch (error) {
      return askInstead(error);
    }
  }
}
