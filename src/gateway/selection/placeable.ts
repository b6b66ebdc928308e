// What a caller asks of a choice, in the form in which relayed requests ask it.

import type { Placeable } from '../inference/admission-applicant.ts';
import type { PlacedPrompt } from './prompts.ts';
import type * as shapes from './shapes.ts';

export const plainChoice = { n: 1, stream: true };

/** Part of a request that the placing needs. */
export function placeable(
  prompt: PlacedPrompt,
  body: Pick<shapes.SelectBody, 'n' | 'stream'> & Partial<shapes.SelectBody>,
  priority: number,
): Placeable {
  const { overlapWeight, temperature, slo } = body;
  return {
    request: { maxOutputTokens: body.max_tokens ?? null, sequences: body.n, stream: body.stream },
    overrides: {
      priority,
      pin: null,
      session: null,
      ...(overlapWeight !== undefined && { overlapWeight }),
      ...(temperature !== undefined && { temperature }),
      ...(slo !== undefined && { slo: sloOf(slo) }),
    },
    ...prompt,
  };
}

function sloOf({ ttftMs, tpotMs }: NonNullable<shapes.SelectBody['slo']>): { ttftMs?: number; tpotMs?: number } {
  return { ...(ttftMs !== undefined && { ttftMs }), ...(tpotMs !== undefined && { tpotMs }) };
}

/** Ids of no worker are ignored: a worker may leave at any time. */
export function excludedOf({ pool }: PlacedPrompt, ids: readonly string[]): ReadonlySet<number> {
  return new Set(
    ids.flatMap((id) => {
      const index = pool.find(id)?.membership?.index;
      return index === undefined ? [] : [index];
    }),
  );
}
