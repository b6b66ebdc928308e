// The settings that each pool of engines may have for itself: rows of the table of settings.

import { policyNames, tenantReserveSDefault } from '../../core/index.ts';
import { fixed, live } from './setting-row.ts';
import { flag, integer, nonNegative, oneOf, path, text, wordOrInteger } from './setting-type.ts';

export const poolSettings = {
  tokenizer: fixed(
    text('engine'),
    'spec',
    'what turns prompts into token ids: engine (its /tokenize), the path of a Hugging Face tokenizer.json, builtin (cl100k_base), or none',
  ),
  tokenizeMsMax: fixed(
    integer(1, 60_000, 2000),
    'ms',
    'time to wait for token ids from an engine; then the prompt is routed by its bytes',
  ),
  trustTokenizer: fixed(flag(false), '', 'use engines even if their /tokenize disagrees with the tokenizer'),
  blockSize: fixed(
    wordOrInteger(['auto'], 1, 65_536),
    'tokens',
    'tokens per KV block: auto (as the engine says, else 16), or 1 to 65536',
  ),
  defaultCapacityBlocks: fixed(
    integer(1, 100_000_000, 8192),
    'n',
    'KV blocks of a worker that does not report its number',
  ),
  policy: fixed(oneOf(policyNames, 'foresee'), 'name', 'how a worker is chosen'),
  overlapWeight: fixed(
    nonNegative(1e6, 1),
    'w',
    'kv: cost of a token of prefill relative to a token of occupied cache',
  ),
  temperature: fixed(
    nonNegative(1e6, 0),
    't',
    'kv: 0 takes the lowest cost; a higher value spreads requests at random',
  ),
  seed: fixed(integer(0, 4_294_967_295, 0), 'n', 'seed of all random draws'),
  inFlightCredit: fixed(flag(true), '', 'count blocks promised by requests in flight as overlap'),
  sessionCreditTokens: fixed(
    nonNegative(1e6, 256),
    'tokens',
    "kv: credit, in tokens, of a session's last worker; 0: none",
  ),
  queue: fixed(flag(true), '', 'queue requests while every worker that may take them is known to be full'),
  queuedRequestsMax: fixed(integer(0, 1_000_000, 4096), 'n', 'requests that may wait; more are refused with 429'),
  queueWaitMsMax: fixed(
    integer(1, 3_600_000, 120_000),
    'ms',
    'time that a request may wait for a worker with room; then it is refused with 503',
  ),
  tenantReserveS: fixed(
    nonNegative(3600, tenantReserveSDefault),
    's',
    "keep workers free of a tenant's burst for tenants that sent a request within this time; 0: none",
  ),
  lateBinding: fixed(
    flag(false),
    '',
    'also queue requests while the worker chosen for them has more prefill queued than it can start soon',
  ),
};

export const poolContinueSetting = {
  continue: live(
    flag(false),
    '',
    'let another engine go on with a stream of a chat or completion whose engine dies, where that is possible',
  ),
};

/** Those for TLS to its engines. */
export const poolTlsSettings = {
  workerCaFile: live(path, 'path', 'certificate authorities (PEM) that https engines are checked against'),
  workerCertFile: live(path, 'path', 'certificate chain (PEM) shown to https engines, for those that ask for one'),
  workerKeyFile: live(path, 'path', 'private key of that certificate (PEM)'),
};

/** Unlike the others, these follow a reload. */
export const livePoolSettings = { ...poolContinueSetting, ...poolTlsSettings };
