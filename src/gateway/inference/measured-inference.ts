// Answers a request whose prompt is not tokenized (embeddings, scores, audio): booked by its length, placed by the
// policy, passed on unchanged.

import type { BodyLength } from '../../wire/body-length.ts';
import type { Usage } from '../../wire/completion-chunk.ts';
import type { Exchange } from '../exchange/exchange.ts';
import type { ResolvedModel } from '../pools/pools.ts';
import { type PromptContent, unclaimed } from '../prompts/prompt-content.ts';
import { hashing } from './admission-applicant.ts';
import { type Booked, bookOf } from './attempt-book.ts';
import type { RelayOutcome } from './attempt-outcome.ts';
import { type Attempt, addressOf, answerBySome, answerHeaders, upstreamHeaders } from './attempts.ts';
import type { ClientAnswer } from './client-answer.ts';
import type { ClientRights } from './client-rights.ts';
import type { InferenceContext } from './inference-context.ts';
import { InferenceWatch } from './inference-watch.ts';
import { relay } from './relay.ts';
import { readOverrides } from './routing-overrides.ts';
import type { Tries } from './tries.ts';

/** Of a file of speech: 16,000 bytes a second, as common codecs use, at 50 tokens a second, as in Whisper. */
const fileBytesPerToken = 320;

export interface MeasuredRequest {
  readonly body: Buffer;
  readonly length: BodyLength;
  /** The engine computes a prompt and no more. */
  readonly prefillOnly: boolean;
}

/** Claims no block. @throws RequestError if nothing has been sent and the client must get an error */
export async function answerMeasured(
  context: InferenceContext,
  exchange: Exchange,
  answer: ClientAnswer,
  resolved: ResolvedModel,
  request: MeasuredRequest,
  rights: ClientRights,
  tries: Tries,
): Promise<void> {
  context.retryBudget.request(performance.now());
  const { body, length, prefillOnly } = request;
  const contents = [contentOf(length)];
  const intake: Booked = {
    request: { maxOutputTokens: prefillOnly ? 0 : null, sequences: 1, stream: false },
    known: 'beginning',
    hashed: hashing(resolved, { cacheSalt: null, recomputed: false }, contents, context.hasher),
    overrides: readOverrides(exchange, { priority: 0, session: null }, rights),
    choices: 1,
    learn: (usage) => learn(resolved, length, usage),
    ...resolved,
  };
  await answerBySome(context, exchange, intake, tries, (attempt) =>
    send(context, exchange, answer, intake, body, attempt),
  );
}

function contentOf({ textBytes, tokens, otherParts, fileBytes }: BodyLength): PromptContent {
  const restTokens = tokens + Math.ceil(fileBytes / fileBytesPerToken);
  return unclaimed({ restBytes: textBytes, restTokens, otherParts });
}

function learn({ pool }: ResolvedModel, length: BodyLength, { promptTokens }: Usage): void {
  const { textBytes, tokens, otherParts, fileBytes } = length;
  if (tokens + otherParts + fileBytes === 0 && textBytes > 0) pool.byteRatio.observe(textBytes, promptTokens);
}

async function send(
  context: InferenceContext,
  exchange: Exchange,
  answer: ClientAnswer,
  intake: Booked,
  body: Buffer,
  attempt: Attempt,
): Promise<RelayOutcome> {
  const { worker } = attempt.placed;
  const { engine } = worker;
  const memory = context.answerBudget.lease();
  try {
    const report = bookOf(context, exchange, intake, attempt);
    const onToken = engine.calls.token.bind(engine.calls);
    const watch = new InferenceWatch({ report, memory, choices: 1, api: 'measured', onToken });
    const target = {
      engine,
      stream: false,
      method: 'POST',
      path: exchange.path + exchange.query,
      headers: upstreamHeaders(exchange, addressOf(worker), exchange.trace?.headers ?? null),
      body,
      extraHeaders: answerHeaders(exchange, intake, attempt.placed),
    };
    return await relay(exchange, answer, target, watch);
  } finally {
    memory.release();
  }
}
