// Workloads and rows of the demo, with notes on how to read them.

import { wrapText } from '../report/wrap-text.ts';
import {
  coldBurst,
  pr1731Stream,
  type SharedPrefixBurst,
  type SharedPrefixStream,
  sharedPrefixBurst,
  sharedPrefixStream,
} from '../trace/shared-prefix.ts';
import type { TextRequest } from '../trace/text-request.ts';
import type { TextCodec } from '../trace/text-source.ts';

export const demoRowNames = [
  'round-robin',
  'foresee',
  'kv',
  'lmetric',
  'dynamo',
  'kv-weight-0',
  'kv-no-credit',
  'kv-late-booking',
] as const;
export type RowName = (typeof demoRowNames)[number];

/** Flags of `kvoyant serve` for each row. */
export const rowFlags: Readonly<Record<RowName, readonly string[]>> = {
  'round-robin': ['--policy', 'round-robin'],
  foresee: ['--policy', 'foresee'],
  kv: ['--policy', 'kv'],
  lmetric: ['--policy', 'lmetric'],
  dynamo: ['--policy', 'dynamo'],
  'kv-weight-0': ['--policy', 'kv', '--overlap-weight', '0'],
  'kv-no-credit': ['--policy', 'kv', '--no-in-flight-credit'],
  'kv-late-booking': ['--policy', 'kv', '--late-booking'],
};

export const workloadNames = ['burst', 'pr1731'] as const;
export type WorkloadName = (typeof workloadNames)[number];

export interface DemoWorkload {
  readonly title: string;
  /** Rows if the workload is run alone. */
  readonly rows: readonly RowName[];
  /** Rows if all workloads are run, which should take less than two minutes. */
  readonly tourRows: readonly RowName[];
  /** @param scale of the number of requests: 1 for the workload as published */
  generate(codec: TextCodec, seed: number, scale: number): Promise<TextRequest[]>;
  /** How to read its table. */
  readonly note: string;
  /** How to read a row: the rest of a sentence that begins with the row's name. */
  readonly rowNotes: Partial<Record<RowName, string>>;
}

const scaled = (count: number, scale: number): number => Math.max(1, Math.round(count * scale));

const burst = (scale: number): SharedPrefixBurst => ({
  ...coldBurst,
  promptsPerGroup: scaled(coldBurst.promptsPerGroup, scale),
});

const stream = (scale: number): SharedPrefixStream => ({
  ...pr1731Stream,
  requests: scaled(pr1731Stream.requests, scale),
});

export const demoWorkloads: Readonly<Record<WorkloadName, DemoWorkload>> = {
  burst: {
    title: 'Cold burst: 64 groups x 16 prompts at once; 2,048 shared + 128 own tokens in, 64 out',
    rows: demoRowNames,
    tourRows: ['round-robin', 'foresee', 'kv', 'kv-no-credit', 'kv-late-booking'],
    generate: (codec, seed, scale) => sharedPrefixBurst(burst(scale), codec, seed),
    note:
      "Most requests are routed before an engine has announced a block, so only the record of the router's own choices " +
      'helps. At best each prefix is computed once: hit rate 0.88, 32,768 prefill tokens on each of 8 workers.',
    rowNotes: {
      'kv-weight-0':
        'does not count prefill. On a cold burst weights 0 and 1 nearly coincide: a token to compute is also a token of a new ' +
        'block. They differ through prefills that end while requests still arrive, and by chance.',
      'kv-no-credit':
        'does not count the blocks that requests in flight will leave. New blocks alone still attract equal ' +
        'prefixes, but the prefill term counts every request as a full prefill and separates them again. ' +
        'The credit helps more the more prefill weighs, not at all at weight 0, and little once caches are warm.',
      'kv-late-booking':
        'counts a request only from its first token, so most choices of a burst ignore the rest of it.',
    },
  },
  pr1731: {
    title: 'PR #1731: 10 prefixes of 3,500 tokens; 7,000 tokens in, 100 out; 180 requests, Poisson 12/s',
    rows: demoRowNames,
    tourRows: ['round-robin', 'foresee'],
    generate: (codec, seed, scale) => sharedPrefixStream(stream(scale), codec, seed),
    note:
      'Here every prefix fits every cache (35,000 of 186,000 tokens), so that policies differ by a few per cent and ' +
      'round robin may win. The hit rate is below 0.5 because caches are cold: each worker computes a prefix before it ' +
      'has it.',
    rowNotes: {
      'kv-late-booking':
        'is the exception: requests that arrive while others still wait for their first token do not see them.',
    },
  },
};

export const noteColumns = 118;

/** Notes to print below the table of these rows. */
export function notesOf({ note, rowNotes }: DemoWorkload, rows: readonly RowName[]): string[] {
  const ofRows = rows.flatMap((row) => (rowNotes[row] === undefined ? [] : [`${row} ${rowNotes[row]}`]));
  return [note, ...ofRows].flatMap((text) => wrapText(text, noteColumns, text === note ? '' : '  '));
}
