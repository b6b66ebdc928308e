// The body of a request as engines get it, apart from the model's name: with a permitted priority, and a stream asked for
// its usage.

import { usageEdit } from '../../wire/include-usage.ts';
import { editSpans, type SpanEdit } from '../../wire/json-members.ts';
import { limitPriority } from '../../wire/limit-priority.ts';
import { type ClientRights, permitted } from './client-rights.ts';
import type { InferenceApi, InferenceRequest } from './request-intake.ts';

export interface BodyEdits extends Pick<InferenceRequest, 'statesPriority' | 'stream'> {
  readonly api: InferenceApi;
  readonly rights: ClientRights;
  readonly injectUsage: boolean;
}

/** A body, and a change that is made as it is sent, without a copy of the rest; null: none. */
export interface BodyToSend {
  readonly body: Buffer;
  readonly edit: SpanEdit | null;
}

export interface EditedBody extends BodyToSend {
  /** The gateway asks for the usage; the client did not. */
  readonly hidesUsage: boolean;
}

/** Linear in the body. */
export function editedBody(body: Buffer, { api, rights, injectUsage, statesPriority, stream }: BodyEdits): EditedBody {
  const limited = statesPriority ? limitPriority(body, (priority) => permitted(rights, priority)) : body;
  const edit = injectUsage && stream && isChunked(api) ? usageEdit(limited) : null;
  return { body: limited, edit, hidesUsage: edit !== null };
}

/** The same buffer if nothing is changed. */
export function wholeBody({ body, edit }: BodyToSend): Buffer {
  return edit === null ? body : editSpans(body, [edit]);
}

/** Whether its usage has to be asked for; other APIs always tell it. */
export function isChunked(api: InferenceApi): api is 'chat' | 'completions' {
  return api === 'chat' || api === 'completions';
}
