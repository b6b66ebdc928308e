// Which form of answer an API has.

import type { AnswerDialect } from '../../wire/answer-dialect.ts';
import type { InferenceApi } from './request-intake.ts';

/** `measured`: a route whose request is only measured, such as embeddings. */
export type AnswerApi = InferenceApi | 'measured';

/** Null: the chunks of chat and completions. */
export function dialectOf(api: AnswerApi): AnswerDialect | null {
  switch (api) {
    case 'chat':
    case 'completions':
      return null;
    case 'responses':
    case 'messages':
      return api;
    case 'measured':
      return 'other';
  }
}
