// The part of an engine that an answer's relay uses.

import type { EngineCalls } from './engine-calls.ts';
import type { Upstream } from './upstream.ts';

export interface AnsweringEngine {
  readonly upstream: Pick<Upstream, 'dispatch' | 'classify' | 'isUnsendable'>;
  readonly calls: Pick<EngineCalls, 'count' | 'heardCount' | 'open' | 'close' | 'heard' | 'pause' | 'resume'>;
}
