// Formats answers of /v1/responses: one object, or the stream of events that builds it.

import type { AnswerFormat, AnswerHead, FinishedChoice, TokenChunk, ToolCall, UsageCounts } from './answer-format.ts';
import type { ResponsesEcho } from './responses-request.ts';
import type { TokenLogprobs } from './token-logprobs.ts';

export class ResponsesFormat implements AnswerFormat {
  readonly #head: AnswerHead;
  readonly #echo: ResponsesEcho;
  #sequence = 0;

  constructor(head: AnswerHead, echo: ResponsesEcho) {
    this.#head = head;
    this.#echo = echo;
  }

  opening(): string {
    const response = this.#response('in_progress', [], null);
    return this.#event('response.created', { response }) + this.#event('response.in_progress', { response });
  }

  token(chunk: TokenChunk): string {
    const { toolCall, isFirst, textJson, logprobs } = chunk;
    const opening = isFirst ? this.#openItem(toolCall) : '';
    const place = { ...this.#place(toolCall), delta: JSON.parse(textJson) as string };
    if (toolCall !== null) return opening + this.#event('response.function_call_arguments.delta', place);
    const told = logprobs === null ? [] : logprobsField([logprobs]);
    return opening + this.#event('response.output_text.delta', { ...place, content_index: 0, logprobs: told });
  }

  closing(counts: UsageCounts, _includeUsage: boolean, choices: () => readonly FinishedChoice[]): string {
    const [choice] = choices();
    const { toolCall, text } = choice!;
    const item = this.#item(choice!);
    const place = this.#place(toolCall);
    const body = this.#body(choice!, counts);
    const end = this.#event(isWhole(choice!) ? 'response.completed' : 'response.incomplete', { response: body });
    if (toolCall !== null) {
      return (
        this.#event('response.function_call_arguments.done', { ...place, name: toolCall.name, arguments: text }) +
        this.#event('response.output_item.done', { output_index: 0, item }) +
        end
      );
    }
    const part = partOf(choice!);
    return (
      this.#event('response.output_text.done', { ...place, content_index: 0, text, logprobs: part.logprobs }) +
      this.#event('response.content_part.done', { ...place, content_index: 0, part }) +
      this.#event('response.output_item.done', { output_index: 0, item }) +
      end
    );
  }

  body(choices: readonly FinishedChoice[], counts: UsageCounts): object {
    return this.#body(choices[0]!, counts);
  }

  #body(choice: FinishedChoice, counts: UsageCounts): object {
    const usage = {
      input_tokens: counts.promptTokens,
      input_tokens_details: { cached_tokens: counts.cachedTokens },
      output_tokens: counts.completionTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: counts.promptTokens + counts.completionTokens,
    };
    return this.#response(isWhole(choice) ? 'completed' : 'incomplete', [this.#item(choice)], usage);
  }

  #openItem(toolCall: ToolCall | null): string {
    if (toolCall !== null) {
      const item = { ...this.#callItem(toolCall), arguments: '', status: 'in_progress' };
      return this.#event('response.output_item.added', { output_index: 0, item });
    }
    const item = { type: 'message', id: this.#itemId(null), role: 'assistant', status: 'in_progress', content: [] };
    const part = { type: 'output_text', text: '', annotations: [], logprobs: [] };
    return (
      this.#event('response.output_item.added', { output_index: 0, item }) +
      this.#event('response.content_part.added', { ...this.#place(null), content_index: 0, part })
    );
  }

  #item(choice: FinishedChoice): object {
    const status = isWhole(choice) ? 'completed' : 'incomplete';
    if (choice.toolCall !== null) return { ...this.#callItem(choice.toolCall), arguments: choice.text, status };
    return { type: 'message', id: this.#itemId(null), role: 'assistant', status, content: [partOf(choice)] };
  }

  #callItem({ id, name }: ToolCall): object {
    return { type: 'function_call', id: this.#itemId({ id, name }), call_id: id, name };
  }

  #place(toolCall: ToolCall | null): object {
    return { item_id: this.#itemId(toolCall), output_index: 0 };
  }

  #itemId(toolCall: ToolCall | null): string {
    return `${toolCall === null ? 'msg' : 'fc'}_${this.#head.id.replace(/^resp_/, '')}`;
  }

  #event(type: string, fields: object): string {
    return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: this.#sequence++, ...fields })}\n\n`;
  }

  #response(
    status: 'in_progress' | 'completed' | 'incomplete',
    output: readonly object[],
    usage: object | null,
  ): object {
    const { id, createdS, model } = this.#head;
    const echo = this.#echo;
    return {
      id,
      object: 'response',
      created_at: createdS,
      status,
      background: false,
      error: null,
      incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
      instructions: echo.instructions,
      max_output_tokens: echo.maxOutputTokens,
      metadata: echo.metadata,
      model,
      output,
      parallel_tool_calls: echo.parallelToolCalls,
      previous_response_id: null,
      temperature: echo.temperature,
      text: echo.text,
      tool_choice: echo.toolChoice,
      tools: echo.tools,
      top_logprobs: echo.topLogprobs,
      top_p: echo.topP,
      truncation: 'disabled',
      usage,
    };
  }
}

function isWhole({ finishReason }: FinishedChoice): boolean {
  return finishReason !== 'length';
}

function partOf({ text, logprobs }: FinishedChoice): { readonly logprobs: object[] } {
  const told = logprobs === null ? [] : logprobsField(logprobs);
  return { ...{ type: 'output_text', text, annotations: [] }, logprobs: told };
}

function logprobsField(tokens: readonly TokenLogprobs[]): object[] {
  return tokens.map(({ top, ...token }) => ({ ...token, top_logprobs: top }));
}
