// The requests of a run, from a seed: growing conversations, texts with a common beginning, prompts of whole blocks.

import { Random } from '../../src/core/index.ts';
import type { Question } from './ask.ts';

export interface Turn {
  readonly question: Question;
  /** Adds the answer to the conversation; without an answer the turn is dropped. */
  ended(answer: string | null): void;
}

interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

interface Conversation {
  messages: Message[];
  waits: boolean;
}

/** Ordinary, rare and foreign words, digits, code and multi-byte characters. */
const words = (
  'the a of and is to cache block worker router token request engine load prompt answer time tree key when how why ' +
  'count of what holds it evicts 7 42 1999 3.14 déjà vu Straße привет 你好 🧭 if(x) { return; } \n\n don’t we’ll ' +
  'synchronous ledger prefix overlap quixotic zephyr JSON.parse(text) https://example.org/a?b=c'
).split(' ');
const conversationsMax = 12;
const turnsMax = 9;
const repeatedPrompts = 3;

export class Workload {
  readonly #random: Random;
  readonly #model: string;
  readonly #blockSize: number;
  readonly #systems: readonly string[];
  readonly #documents: readonly string[];
  readonly #conversations: Conversation[] = [];
  readonly #blockPrompts: number[][] = [];

  constructor(seed: number, model: string, blockSize: number) {
    this.#random = new Random(seed);
    this.#model = model;
    this.#blockSize = blockSize;
    this.#systems = [this.#text(60, 120), this.#text(60, 120), this.#text(200, 260)];
    this.#documents = [this.#text(300, 400), this.#text(150, 200)];
  }

  next(): Turn {
    const kind = this.#random.below(10);
    if (kind < 7) return this.#chat();
    return kind < 9 ? this.#completion() : this.#wholeBlocks();
  }

  #chat(): Turn {
    const conversation = this.#idleConversation();
    const { messages } = conversation;
    const asked: Message[] = [...messages, { role: 'user', content: this.#text(15, 70) }];
    conversation.waits = true;
    return {
      question: { path: '/v1/chat/completions', body: this.#body({ messages: asked }) },
      ended: (answer) => {
        conversation.waits = false;
        if (answer !== null) conversation.messages = [...asked, { role: 'assistant', content: answer }];
      },
    };
  }

  /** A conversation without a pending answer; a new one if there is none or it is too long. */
  #idleConversation(): Conversation {
    const at = this.#random.below(conversationsMax);
    const found = this.#conversations[at];
    if (found !== undefined && !found.waits && found.messages.length < 2 * turnsMax) return found;
    const content = this.#systems[this.#random.below(this.#systems.length)]!;
    const conversation: Conversation = { messages: [{ role: 'system', content }], waits: false };
    this.#conversations[at] = conversation;
    return conversation;
  }

  #completion(): Turn {
    const document = this.#documents[this.#random.below(this.#documents.length)]!;
    return once('/v1/completions', this.#body({ prompt: `${document}\n${this.#text(10, 60)}` }));
  }

  /** Sent repeatedly, to cover prompts that an engine holds completely. */
  #wholeBlocks(): Turn {
    const at = this.#random.below(repeatedPrompts);
    const length = this.#blockSize * this.#between(2, 8);
    this.#blockPrompts[at] ??= Array.from({ length }, () => 300 + this.#random.below(3000));
    return once('/v1/completions', this.#body({ prompt: this.#blockPrompts[at] }));
  }

  #body(prompt: object): Record<string, unknown> {
    const stream = this.#random.below(4) > 0;
    return {
      model: this.#model,
      ...prompt,
      max_tokens: this.#between(4, 48),
      ignore_eos: true,
      temperature: 1,
      stream,
      ...(stream ? { stream_options: { include_usage: true } } : {}),
    };
  }

  #text(least: number, most: number): string {
    return Array.from({ length: this.#between(least, most) }, () => words[this.#random.below(words.length)]).join(' ');
  }

  #between(least: number, most: number): number {
    return least + this.#random.below(most - least + 1);
  }
}

function once(path: string, body: Record<string, unknown>): Turn {
  return { question: { path, body }, ended: () => undefined };
}
