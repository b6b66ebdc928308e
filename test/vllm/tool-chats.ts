// Chats with tools and tool calls as raw JSON: number forms, member orders and unknown members that engines keep or drop.

import { Random } from '../../src/core/index.ts';
import type { Turn } from './workload.ts';

/** Times that every chat is sent; the later ones must be found in the cache. */
const repeats = 3;

const numbers = ['1.0', '0.0', '1E5', '1e16', '-0.5', '12345678901234567890', '7'];
const tools: readonly string[] = [
  '{"type":"function","function":{"name":"weather","description":"The weather of a place.","parameters":{"type":"object","properties":{"10":{"type":"number","minimum":NUMBER},"2":{"type":"string"},"place":{"type":"string","default":NUMBER}},"required":["10"]}}}',
  '{"function":{"parameters":{"type":"object","properties":{"b":{"const":NUMBER},"a":{}}},"name":"bare"},"type":"function"}',
  '{"type":"function","function":{"name":"nothing"},"cache_control":{"type":"ephemeral"}}',
  '{"function":{"description":"Has no parameters.","name":"described","strict":true},"type":"function"}',
];
const messages: readonly string[] = [
  '{"role":"developer","content":"Answer briefly, and only in whole sentences, whatever the question is about."}',
  '{"role":"user","content":"What is the weather like in the town where the river bends twice?"}',
  '{"role":"assistant","content":null,"tool_calls":[{"id":"call-1","type":"function","function":{"name":"weather","arguments":"{\\"10\\": NUMBER, \\"2\\": [NUMBER, \\"x\\"], \\"place\\": \\"Köln\\"}"}}]}',
  '{"role":"tool","tool_call_id":"call-1","content":[{"type":"text","text":"rain"},{"type":"text","text":"NUMBER degrees"}]}',
  '{"role":"user","content":[{"type":"text","text":"And tomorrow?"},{"type":"text","text":"Please be exact."}]}',
];

export class ToolChats {
  readonly #random: Random;
  readonly #model: string;
  #json = '';
  #left = 0;

  constructor(seed: number, model: string) {
    this.#random = new Random(seed);
    this.#model = model;
  }

  next(): Turn {
    if (this.#left === 0) {
      this.#json = this.#chat();
      this.#left = repeats;
    }
    this.#left -= 1;
    return {
      question: { path: '/v1/chat/completions', body: { stream: false }, json: this.#json },
      ended: () => undefined,
    };
  }

  #chat(): string {
    const first = this.#random.below(tools.length);
    const chosen = tools.slice(0, first + 1).map((tool) => this.#filled(tool));
    const said = messages.slice(this.#random.below(2), 2 + this.#random.below(messages.length - 1));
    const head = `"model":"${this.#model}","max_tokens":4,"ignore_eos":true,"tool_choice":"none"`;
    const mark = `{"role":"user","content":"Question ${this.#random.below(1e6)}"}`;
    return `{${head},"tools":[${chosen.join(',')}],"messages":[${[...said, mark].map((m) => this.#filled(m)).join(',')}]}`;
  }

  #filled(json: string): string {
    return json.replace(/NUMBER/g, () => numbers[this.#random.below(numbers.length)]!);
  }
}
