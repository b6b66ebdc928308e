// Comparison of gateway and engine tokenizers: every verdict, and the questions behind it.

import { describe, expect, it } from 'vitest';
import { type EngineProbe, ProbeError, type TokenizeInput } from '../../../src/gateway/engines/engine-probe.ts';
import type { Parity } from '../../../src/gateway/engines/tokenizer-verdict.ts';
import { askableTokens, compareTokenizers } from '../../../src/gateway/proof/tokenizer-parity.ts';
import { type Tokenizer, TokenizerError } from '../../../src/tokens/tokenizer.ts';

const bos = 1;
type Ids = readonly number[] | Error;

const refused = (status: number): ProbeError => new ProbeError('no', status);

/** An engine that returns these ids; `chat` may depend on the messages. */
function engine(text: Ids, chat: Ids | ((messages: readonly object[]) => Ids)): EngineProbe {
  const tokenize = async (input: TokenizeInput): Promise<number[]> => {
    const told =
      'prompt' in input
        ? text
        : typeof chat !== 'function'
          ? chat
          : 'chat' in input
            ? refused(400)
            : chat(input.messages);
    if (told instanceof Error) throw told;
    return [...told];
  };
  return { tokenize } as Partial<EngineProbe> as EngineProbe;
}

function tokenizer(text: readonly number[], chat: Ids): Tokenizer {
  return {
    encode: () => Uint32Array.from(text),
    encodeChat: () => {
      if (chat instanceof Error) throw chat;
      return { ids: Uint32Array.from(chat), exact: true };
    },
  } as Partial<Tokenizer> as Tokenizer;
}

const verdictOf = (theirs: Ids, ours: Ids): Promise<{ text: Parity; chat: Parity }> =>
  compareTokenizers(engine([5], theirs), 'm', tokenizer([5], ours));

describe('compareTokenizers', () => {
  it.each<[string, Ids, Ids, Parity]>([
    ['the same ids', [bos, 2, 3], [bos, 2, 3], 'agrees'],
    ['another id', [bos, 2, 3], [bos, 2, 4], 'differs'],
    ['a BOS that only the engine writes', [bos, 2, 3], [2, 3], 'differs'],
    ['a BOS that the engine writes twice', [bos, bos, 2, 3], [bos, 2, 3], 'double-bos'],
    ['a BOS that we write twice', [bos, 2, 3], [bos, bos, 2, 3], 'double-bos'],
    ['a BOS twice and another id', [bos, bos, 2, 3], [bos, 2, 4], 'differs'],
    ['two ids more', [bos, bos, bos, 2], [bos, 2], 'differs'],
    ['a tokenizer without a template', [bos, 2], new TokenizerError('chat-template-missing', 'no'), 'differs'],
    ['an engine without the route', refused(404), [bos, 2], 'unavailable'],
    ['an engine that answers something else', refused(200), [bos, 2], 'unavailable'],
  ])('%s', async (_what, theirs, ours, verdict) => {
    expect(await verdictOf(theirs, ours)).toEqual({ text: 'agrees', chat: verdict });
  });

  it('reports a double BOS of texts too', async () => {
    const verdict = await compareTokenizers(engine([bos, bos, 2], refused(400)), 'm', tokenizer([bos, 2], [bos]));
    expect(verdict).toEqual({ text: 'double-bos', chat: 'unavailable' });
  });

  it('omits the system message if the template takes none', async () => {
    const noSystem = (messages: readonly object[]): Ids => (messages.length > 1 ? refused(400) : [bos, 2]);
    const verdict = await compareTokenizers(engine([5], noSystem), 'm', tokenizer([5], [bos, 2]));
    expect(verdict.chat).toBe('agrees');
  });

  it('lists features that the engine renders differently, and skips those it refuses', async () => {
    const plain = [bos, 2, 3];
    const probe = {
      tokenize: async (input: TokenizeInput): Promise<number[]> => {
        if (!('chat' in input)) return 'prompt' in input ? [5] : plain;
        const { text } = input.chat.messages;
        if (text.includes('image_url')) throw refused(400);
        // Raw JSON, as the gateway sends it.
        if (input.chat.tools) expect(input.chat.tools.text).toMatch(/"10": 1\.0, "2": 1E5/);
        return text.includes('developer') || input.chat.tools ? [bos, 9] : plain;
      },
    } as Partial<EngineProbe> as EngineProbe;
    const verdict = await compareTokenizers(probe, 'm', tokenizer([5], plain));
    expect(verdict).toEqual({ text: 'agrees', chat: 'agrees', differing: ['tools', 'tool-calls', 'developer'] });
  });

  it('fails if the engine does not answer', async () => {
    await expect(verdictOf(refused(0), [bos])).rejects.toBeInstanceOf(ProbeError);
  });
});

describe('askableTokens', () => {
  const none = { text: 'unchecked', chat: 'unchecked' } as const;

  it('reports what can be asked', async () => {
    expect(await askableTokens(engine([1], [2]), 'm', none)).toEqual({ text: 'asked', chat: 'asked' });
    expect(await askableTokens(engine([1], refused(400)), 'm', none)).toEqual({ text: 'asked', chat: 'unavailable' });
    expect(await askableTokens(engine(refused(404), refused(404)), 'm', none)).toEqual({
      text: 'unavailable',
      chat: 'unavailable',
    });
  });

  it('treats a route that never answers as missing, unless it answered before', async () => {
    const hangs = engine(refused(0), refused(0));
    expect((await askableTokens(hangs, 'm', none)).text).toBe('unavailable');
    const before = { text: 'asked', chat: 'unavailable' } as const;
    expect(await askableTokens(hangs, 'm', before)).toBe(before);
    const gone = engine(new ProbeError('refused', 0, 'ECONNREFUSED'), []);
    await expect(askableTokens(gone, 'm', before)).rejects.toBeInstanceOf(ProbeError);
  });
});
