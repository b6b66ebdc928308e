import { describe, expect, it } from 'vitest';
import type { Circumstances } from '../../../src/gateway/engines/canary-report.ts';
import { type CanaryEvidence, diagnose, type EventEvidence } from '../../../src/gateway/proof/diagnosis.ts';
import { soundFeed } from '../sound-feed.ts';

const events: EventEvidence = {
  feed: soundFeed,
  batches: 1,
  blocks: 3,
  announcedBlocks: 3,
  elsewhere: [],
  partialEvents: 0,
  namespace: null,
};
const evidence: CanaryEvidence = {
  promptTokens: 50,
  countedTokens: 50,
  cacheableTokens: 48,
  reportedTokens: 48,
  counterTokens: null,
  events,
};
const circumstances: Circumstances = {
  traits: { blockSize: 16, pageSize: 16, pageSizeUnfit: null },
  told: { prefixCaching: true, blockSize: 16, events: { kind: 'unknown' } },
  offered: true,
  tokenizer: { text: 'agrees', chat: 'agrees' },
};

const causes = (seen: Partial<CanaryEvidence>, known: Partial<Circumstances> = {}): string[] =>
  diagnose({ ...evidence, ...seen }, { ...circumstances, ...known }).findings.map(({ cause }) => cause);
const unannounced = (seen: Partial<EventEvidence>): Partial<CanaryEvidence> => ({
  events: { ...events, announcedBlocks: 0, ...seen },
});

describe('diagnose', () => {
  it('finds no fault with a sound worker, and lists its proofs', () => {
    expect(diagnose(evidence, circumstances)).toEqual({ proofs: ['token-count', 'usage', 'events'], findings: [] });
    expect(diagnose({ ...evidence, reportedTokens: null, counterTokens: 60 }, circumstances).proofs).toEqual([
      'token-count',
      'counters',
      'events',
    ]);
    expect(diagnose({ ...evidence, countedTokens: null, reportedTokens: null, events: null }, circumstances)).toEqual({
      proofs: [],
      findings: [],
    });
  });

  it.each<[string, Partial<CanaryEvidence>, Partial<Circumstances>, string[]]>([
    ['tokens counted otherwise', { countedTokens: 51 }, {}, ['tokenizer']],
    ['tokens of texts differ', {}, { tokenizer: { text: 'differs', chat: 'agrees' } }, ['tokenizer']],
    ['tokens of chats differ', {}, { tokenizer: { text: 'agrees', chat: 'differs' } }, ['chat-template']],
    ['a BOS twice', {}, { tokenizer: { text: 'agrees', chat: 'double-bos' } }, ['double-bos']],
    ['nothing cached', { reportedTokens: 0 }, {}, ['prefix-caching-off']],
    ['nothing cached, by the counters', { reportedTokens: null, counterTokens: 0 }, {}, ['prefix-caching-off']],
    ['something else cached', { reportedTokens: 32 }, {}, ['block-size']],
    ['caching off explains the lack of events', { reportedTokens: 0, ...unannounced({}) }, {}, ['prefix-caching-off']],
    ['no way to open our end', unannounced({ feed: { ...soundFeed, error: 'EADDRINUSE' } }), {}, ['wrong-endpoint']],
    ['nobody there', unannounced({ feed: { ...soundFeed, publishers: 0 } }), {}, ['wrong-endpoint']],
    ['nothing comes', unannounced({ batches: 0 }), {}, ['no-batches']],
    ['other things come', unannounced({}), {}, ['events-unmatched']],
    ['other tokens explain that', { countedTokens: 49, ...unannounced({}) }, {}, ['tokenizer']],
    ['told of elsewhere', unannounced({ elsewhere: ['b#0'] }), {}, ['foreign-events']],
    ['other tokens explain what is cached', { countedTokens: 40, reportedTokens: 32 }, {}, ['tokenizer']],
    ['only sliding windows', unannounced({ partialEvents: 1, elsewhere: ['b#0'] }), {}, ['attention-kind']],
    ['told apart by a salt', unannounced({ namespace: 'a cache salt' }), {}, ['lora-or-salt']],
  ])('%s', (_name, seen, known, expected) => {
    expect(causes(seen, known)).toEqual(expected);
  });

  it("trusts received events over the engine's statements", () => {
    const told = { ...circumstances.told, events: { kind: 'off', rank: 0 } } as const;
    expect(causes({}, { told })).toEqual([]);
    expect(causes(unannounced({ batches: 0 }), { told })).toEqual(['events-off']);
  });

  it('reports where the engine publishes, if nothing is at the configured address', () => {
    const source = { rank: 0, mode: 'connect', endpoint: 'tcp://h:6000', topic: '', replayEndpoint: null } as const;
    const told = { ...circumstances.told, events: { kind: 'source', rank: 0, source } } as const;
    const { findings } = diagnose(
      { ...evidence, ...unannounced({ feed: { ...soundFeed, publishers: 0 } }) },
      { ...circumstances, told },
    );
    expect(findings).toMatchObject([{ cause: 'wrong-endpoint', message: expect.stringContaining('tcp://h:6000') }]);
  });

  it("checks the engine's statements if no canary was sent", () => {
    const told = (fields: Partial<Circumstances['told']>): string[] =>
      diagnose(null, { ...circumstances, told: { ...circumstances.told, ...fields } }).findings.map(
        ({ cause }) => cause,
      );
    expect(told({})).toEqual([]);
    expect(told({ prefixCaching: false, events: { kind: 'off', rank: 0 } })).toEqual(['prefix-caching-off']);
    expect(told({ events: { kind: 'off', rank: 0 } })).toEqual(['events-off']);
    expect(told({ events: { kind: 'other-publisher', rank: 0, publisher: 'null' } })).toEqual(['null-publisher']);
    expect(told({ blockSize: 24 })).toEqual(['block-size']);
    expect(diagnose(null, { ...circumstances, offered: false }).findings).toMatchObject([{ cause: 'events-off' }]);
  });
});
