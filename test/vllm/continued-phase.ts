// With `--continue`, an engine is killed in mid-stream: others go on with its streams.

import { ask, type Question, type Reply } from './ask.ts';
import type { EngineUnderTest, Stage } from './engine-under-test.ts';
import type { GatewayProcess } from './gateway-process.ts';
import type { Verdict } from './verdict-table.ts';

const outputTokens = 400;
/** Tokens of a stream of the victim before it is killed. */
const tokensBefore = 8;
const backMsMax = 120_000;
/** A refusal would mean that the engine does not take what is asked of it. */
const expectable: ReadonlySet<string> = new Set(['continued', 'completed', 'not_continuable']);

/** @param gateway with `--continue` */
export async function continuedPhase(stage: Stage, gateway: GatewayProcess, count: number): Promise<Verdict[]> {
  const [victim, other] = stage.engines as readonly [EngineUnderTest, EngineUnderTest];
  const questions = Array.from({ length: count }, (_, i) => questionOf(stage.model, i));
  const expected: Reply[] = [];
  for (const [i, question] of questions.entries()) expected.push(await ask(other.url, `undisturbed-${i}`, question));
  // The victim's first requests are slow: they would all wait for their first token.
  await Promise.all(questions.map((question, i) => ask(victim.url, `warming-${i}`, question)));
  const victimIds = (await gateway.workers()).filter(({ url }) => url === victim.url).map(({ clientId }) => clientId);
  let killed: Promise<void> | null = null;
  const onToken = (tokens: number, worker: string | null): void => {
    if (tokens >= tokensBefore && worker !== null && victimIds.includes(worker)) killed ??= victim.kill();
  };
  const replies = await Promise.all(
    questions.map((question, i) => ask(gateway.url, `continued-${i}`, question, { onToken })),
  );
  await killed;
  await victim.restart();
  await gateway.until(`${victim.name} takes requests again`, backMsMax, async () => {
    return (await gateway.workers()).some(({ url, state }) => url === victim.url && state === 'ready');
  });
  const outcomes = await outcomesAt(gateway);
  for (const { id, tokens, reason } of replies.filter(({ ending }) => ending !== 'done')) {
    stage.say(`${id} failed after ${tokens} tokens: ${reason}`);
  }
  const done = replies.flatMap((reply, i) => (reply.ending === 'done' ? [{ reply, wanted: expected[i]! }] : []));
  const counted = done.filter(({ reply, wanted }) => reply.promptTokens === wanted.promptTokens);
  const same = done.filter(({ reply, wanted }) => reply.text === wanted.text);
  const excused = outcomes.get('not_continuable') ?? 0;
  return [
    {
      check: 'continue: what became of the streams of a killed engine',
      seen: [...outcomes].map(([outcome, times]) => `${outcome} ${times}`).join(', ') || 'nothing',
      required: 'continued, unless not continuable',
      // How many have begun when the engine dies depends on how busy the machine is.
      holds: [...outcomes.keys()].every((outcome) => expectable.has(outcome)) && count - done.length === excused,
    },
    {
      check: "continue: prompt tokens are the client's",
      seen: `${counted.length} of ${done.length}`,
      required: 'all',
      holds: counted.length === done.length && done.length > 0,
    },
    {
      check: 'continue: same text as undisturbed',
      seen: `${same.length} of ${done.length}`,
      required: 'reported',
      holds: true,
    },
  ];
}

/** Chats, texts and token ids in turn. */
function questionOf(model: string, i: number): Question {
  const common = {
    ...{ model, stream: true, stream_options: { include_usage: true } },
    ...{ temperature: 0, max_tokens: outputTokens, ignore_eos: true },
  };
  const text = `Story ${i}: once upon a time there was`;
  switch (i % 3) {
    case 0:
      return { path: '/v1/chat/completions', body: { ...common, messages: [{ role: 'user', content: text }] } };
    case 1:
      return { path: '/v1/completions', body: { ...common, prompt: text } };
    default:
      return { path: '/v1/completions', body: { ...common, prompt: [300 + i, 301, 302, 303, 304 + i] } };
  }
}

/** Streams that broke off, by what became of them; those without any are left out. */
async function outcomesAt({ adminUrl }: GatewayProcess): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${adminUrl}/metrics`)).text();
  const outcomes = new Map<string, number>();
  for (const [, outcome, times] of text.matchAll(
    /^kvoyant_interrupted_streams_total\{outcome="(\w+)",[^}]*\} (\d+)$/gm,
  )) {
    outcomes.set(outcome!, (outcomes.get(outcome!) ?? 0) + Number(times));
  }
  return outcomes;
}
