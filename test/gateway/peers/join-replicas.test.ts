import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { resolveConfig } from '../../../src/gateway/config/config.ts';
import { FeedCommons } from '../../../src/gateway/feeds/feed-commons.ts';
import { joinReplicas, shownAddress } from '../../../src/gateway/peers/join-replicas.ts';

/** Lines of the log when a gateway with these settings is about to join. */
function logOf(workers: string[], nats: string[]): string {
  let logged = '';
  const log = pino(
    {},
    {
      write: (line: string) => {
        logged += line;
      },
    },
  );
  const feedCommons = new FeedCommons(() => performance.now());
  const config = resolveConfig({ workers, nats });
  const peers = joinReplicas({ config, pools: [], feedCommons, address: () => '', uses: () => new Map(), log });
  expect(peers === null).toBe(nats.length === 0);
  expect(feedCommons.copies === null).toBe(nats.length === 0);
  return logged;
}

describe('joining replicas', () => {
  it('warns of workers whose addresses mean other engines elsewhere', () => {
    expect(logOf(['http://localhost:8000'], ['nats://10.0.0.1:4222'])).toContain(
      'replicas know workers by their addresses',
    );
    expect(logOf(['http://127.0.0.1:8000'], ['10.0.0.1'])).toContain('http://127.0.0.1:8000');
    expect(logOf(['http://127.0.0.1:8000'], ['nats://127.0.0.1:4222'])).toBe('');
    expect(logOf(['http://10.0.0.2:8000'], ['tls://nats.example.org'])).toBe('');
    expect(logOf(['http://localhost:8000'], [])).toBe('');
  });

  it('knows workers alike however case, default port and slash are written', () => {
    const urls = ['http://Engine-1:80/', 'http://engine-1', 'http://ENGINE-1:80'];
    expect(new Set(urls.map((url) => resolveConfig({ workers: [url] }).workers[0]!.url))).toEqual(
      new Set(['http://engine-1']),
    );
  });

  it('shows an address that others can use', () => {
    expect(shownAddress('http://127.0.0.1:8000')).toBe('http://127.0.0.1:8000');
    expect(shownAddress('http://0.0.0.0:8000')).not.toContain('0.0.0.0');
  });
});

describe('settings of NATS', () => {
  const faults = (options: object): string => {
    try {
      resolveConfig({ workers: ['http://127.0.0.1:1'], ...options });
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  it.each([
    [{ nats: ['nats://user:secret@host'] }, 'has a user name'],
    [{ nats: ['http://host'] }, 'is no address like nats://'],
    [{ nats: ['host'], cluster: 'a.b' }, 'letters, digits'],
    [{ nats: ['host'], cluster: '*' }, 'letters, digits'],
    [{ nats: ['host'], natsUser: 'kv' }, 'needs natsPassword'],
    [{ nats: ['host'], natsToken: 't', natsNkeyFile: 'f' }, 'one way to log in'],
    [{ natsToken: 't' }, 'has no use without nats'],
    [{ nats: ['host'], replicas: 0 }, 'must be auto or an integer'],
  ])('refuses %j', (options, message) => {
    expect(faults(options)).toContain(message);
    expect(faults(options)).not.toContain('secret');
  });

  it('takes several servers in one text', () => {
    const { nats } = resolveConfig({ workers: ['http://127.0.0.1:1'], nats: ['nats://a:4222,tls://[::1]:4222', 'c'] });
    expect(nats).toEqual(['nats://a:4222', 'tls://[::1]:4222', 'c']);
  });
});
