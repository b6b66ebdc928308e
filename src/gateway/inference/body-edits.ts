// The body of a request as engines get it, apart from the model's name: with a permitted priority, and a stream asked for
// its usage.

import { askForUsage } from '../../wire/include-usage.ts';
import { limitPriority } from '../../wire/limit-priority.ts';
import { type ClientRights, permitted } from './client-rights.ts';
import type { InferenceApi, InferenceRequest } from './request-intake.ts';

export interface BodyEdits extends Pick<InferenceRequest, 'statesPriority' | 'stream'> {
  readonly api: InferenceApi;
  readonly rights: ClientRights;
  readonly injectUsage: boolean;
}

export interface EditedBody {
  /** The same buffer if nothing is changed. */
  readonly body: Buffer;
  /** The gateway asks for the usage; the client did not. */
  readonly hidesUsage: boolean;
}

/** Linear in the body. */
export function editedBody(body: Buffer, { api, rights, injectUsage, statesPriority, stream }: BodyEdits): EditedBody {
  const limited = statesPriority ? limitPriority(body, (priority) => permitted(rights, priority)) : body;
  const asking = injectUsage && stream && isChunked(api) ? askForUsage(limited) : null;
  return { body: asking ?? limited, hidesUsage: asking !== null };
}

/** Whether its usage has to be asked for; other APIs always tell it. */
export function isChunked(api: InferenceApi): api is 'chat' | 'completions' {
  return api === 'chat' || api === 'completions';
}
