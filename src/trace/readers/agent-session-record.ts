// Parses one recorded session of a coding agent (kv-cache-tester's JSON) and checks every field.

import { TraceFields } from '../trace-fields.ts';

/** Times in seconds from the start of the run. */
export interface AgentRun {
  readonly toolTokens: number;
  readonly systemTokens: number;
  readonly steps: readonly AgentStep[];
}

export type AgentStep = AgentRequest | SubAgent;

export interface AgentRequest {
  readonly kind: 'request';
  readonly startS: number;
  readonly isl: number;
  readonly outputTokens: number;
  /** Chained ids of the full blocks, local to the session. */
  readonly ids: readonly number[];
  /** From the start of the request to the end of its answer. 0 if not recorded. */
  readonly answerS: number;
  /** From the end of the previous answer. Undefined if not recorded. */
  readonly thinkS: number | undefined;
}

/** Runs in parallel with its parent, which waits for it before the next request. */
export interface SubAgent {
  readonly kind: 'sub-agent';
  readonly startS: number;
  readonly run: AgentRun;
}

export interface AgentSession {
  readonly blockTokens: number;
  readonly run: AgentRun;
}

/** @throws TraceError naming the field */
export function parseAgentSession(fields: TraceFields): AgentSession {
  const blockTokens = fields.count(1, 'block_size');
  if (fields.string('hash_id_scope') !== 'local') fields.refuse('hash_id_scope', 'must be local');
  return { blockTokens, run: parseRun(fields, blockTokens) };
}

/** Longest prompt of a run, its sub-agents included. */
export function longestPromptTokens({ steps }: AgentRun): number {
  return Math.max(0, ...steps.map((step) => (step.kind === 'request' ? step.isl : longestPromptTokens(step.run))));
}

function parseRun(fields: TraceFields, blockTokens: number): AgentRun {
  return {
    toolTokens: fields.count(0, 'tool_tokens'),
    systemTokens: fields.count(0, 'system_tokens'),
    steps: fields.array('requests').map((step, i) => {
      return parseStep(TraceFields.of(`${fields.at}: requests[${i}]`, step), blockTokens);
    }),
  };
}

function parseStep(fields: TraceFields, blockTokens: number): AgentStep {
  const atS = fields.amount('t');
  if (fields.string('type') === 'subagent') {
    // `t` is the time at which it ended.
    const startS = atS - fields.amount('duration_ms') / 1000;
    return { kind: 'sub-agent', startS, run: parseRun(fields, blockTokens) };
  }
  const isl = fields.count(1, 'in');
  const ids = fields.ids('hash_ids');
  if (ids.length > Math.ceil(isl / blockTokens)) fields.refuse('hash_ids', `${ids.length} ids for ${isl} tokens`);
  return {
    kind: 'request',
    startS: atS,
    isl,
    outputTokens: fields.count(0, 'out'),
    ids,
    answerS: fields.has('api_time') ? fields.amount('api_time') : 0,
    thinkS: fields.has('think_time') ? fields.amount('think_time') : undefined,
  };
}
