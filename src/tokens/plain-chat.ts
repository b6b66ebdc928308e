// A chat made by kvoyant itself, for probes and tests, as the JSON text that a client would send.

import { JsonText } from './exact-json.ts';
import type { ChatInput } from './tokenizer.ts';

/** Must not contain floats. */
export interface PlainChat {
  readonly messages: readonly object[];
  readonly tools?: readonly unknown[] | null | undefined;
  readonly addGenerationPrompt?: boolean | undefined;
  readonly chatTemplateKwargs?: object | null | undefined;
  readonly addSpecialTokens?: boolean | undefined;
  readonly continueFinalMessage?: boolean | undefined;
  readonly chatTemplate?: string | null | undefined;
}

export function plainChat({ messages, tools, chatTemplateKwargs, chatTemplate, ...rest }: PlainChat): ChatInput {
  return {
    ...rest,
    messages: JsonText.of(messages),
    tools: tools ? JsonText.of(tools) : null,
    chatTemplateKwargs: chatTemplateKwargs ? JsonText.of(chatTemplateKwargs) : null,
    chatTemplate: chatTemplate ? JsonText.of(chatTemplate) : null,
  };
}
