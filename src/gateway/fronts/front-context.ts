// The state that the request handlers of a front share.

import type { Logger } from 'pino';
import type { BlockHasher } from '../../core/index.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { AnswerBudget } from '../exchange/answer-budget.ts';
import type { AnswerDeadlines } from '../exchange/answer-deadlines.ts';
import type { BodyBudget } from '../exchange/body-budget.ts';
import type { TurnSlices } from '../exchange/turn-slices.ts';
import type { Access } from '../http/access.ts';
import type { ConnectionSlots } from '../http/connection-slots.ts';
import type { FailureNotes } from '../http/http-failure.ts';
import type { ReadingThread } from '../inference/reading-thread.ts';
import type { RetryBudget } from '../inference/retry-budget.ts';
import type { Tokenizers } from '../prompts/tokenizers.ts';
import type { OwnerDoor } from './owner-door.ts';
import type { OwnerLink } from './owner-link.ts';

export interface FrontContext extends FailureNotes {
  /** As of the last reload. */
  readonly config: GatewayConfig;
  /** The owner traces requests. */
  readonly traces: boolean;
  readonly access: Access;
  readonly slots: ConnectionSlots;
  readonly deadlines: AnswerDeadlines;
  readonly bodyBudget: BodyBudget;
  readonly answerBudget: AnswerBudget;
  readonly intakeSlices: TurnSlices;
  readonly readingThread: ReadingThread;
  /** Of this front alone: each sees its own requests, and the shares add up. */
  readonly retryBudget: RetryBudget;
  readonly hasher: BlockHasher;
  readonly tokenizers: Tokenizers;
  readonly owner: OwnerLink;
  readonly ownerDoor: OwnerDoor;
  readonly log: Logger;
}
