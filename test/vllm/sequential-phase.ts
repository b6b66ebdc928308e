// Sequential requests, each after all earlier events have arrived: every prediction of cached tokens is exact.

import { ask } from './ask.ts';
import type { Stage } from './engine-under-test.ts';
import type { GatewayProcess } from './gateway-process.ts';
import { Predictions } from './predictions.ts';
import { settle } from './settle.ts';
import type { Verdict } from './verdict-table.ts';
import type { Turn } from './workload.ts';

/** Source of a phase's requests. */
export interface Turns {
  next(): Turn;
}

export async function sequentialPhase(
  stage: Stage,
  gateway: GatewayProcess,
  workload: Turns,
  requestCount: number,
  name = 'sequential',
): Promise<Verdict[]> {
  const predictions = new Predictions();
  const failures: string[] = [];
  const miscounted: string[] = [];
  let promptTokens = 0;
  let cachedTokens = 0;
  for (let i = 1; i <= requestCount; i++) {
    const { question, ended } = workload.next();
    await settle(stage, gateway);
    const reply = await ask(gateway.url, `${name.replaceAll(' ', '-')}-${i}`, question);
    ended(reply.ending === 'done' ? reply.text : null);
    if (reply.ending !== 'done') {
      failures.push(`${reply.id}: ${reply.reason}`);
      continue;
    }
    const { isl, overlapTokens } = await gateway.decision(reply.id);
    const actual = reply.cachedTokens ?? (stage.omitsZero ? 0 : null);
    predictions.add(reply.id, overlapTokens, actual);
    if (isl !== reply.promptTokens)
      miscounted.push(`${reply.id}: ${isl} counted, the engine has ${reply.promptTokens}`);
    promptTokens += reply.promptTokens ?? 0;
    cachedTokens += actual ?? 0;
  }
  for (const line of [...failures, ...miscounted, ...predictions.wrong]) stage.say(line);
  const { exact, count, meanError } = predictions;
  return [
    {
      check: `${name}: answered`,
      seen: `${requestCount - failures.length} of ${requestCount}`,
      required: 'all',
      holds: failures.length === 0,
    },
    {
      check: `${name}: prompt tokens as the engine counts them`,
      seen: `${count - miscounted.length} of ${count}`,
      required: 'all',
      holds: miscounted.length === 0,
    },
    {
      check: `${name}: predicted = actual cached tokens`,
      seen: `${exact} of ${count}, mean error ${meanError.toFixed(1)}; ${cachedTokens} of ${promptTokens} tokens cached`,
      required: 'all',
      holds: exact === count && count > 0 && cachedTokens > 0,
    },
  ];
}
