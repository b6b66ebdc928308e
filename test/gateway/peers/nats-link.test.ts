import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { resolveConfig } from '../../../src/gateway/config/config.ts';
import { messageBytesMax, NatsLink } from '../../../src/gateway/peers/nats-link.ts';
import type { LinkListener } from '../../../src/gateway/peers/peer-link.ts';
import { eventually } from '../../e2e/harness.ts';
import { NatsServer, natsProgram } from './nats-server.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array): string => new TextDecoder().decode(data);

interface Heard extends LinkListener {
  readonly messages: string[];
  connects: number;
  disconnects: number;
}

function listener(answer: Uint8Array | null = null): Heard {
  const heard: Heard = {
    messages: [],
    connects: 0,
    disconnects: 0,
    message: (channel, data) => void heard.messages.push(`${channel} ${text(data)}`),
    asked: () => answer,
    connected: () => void heard.connects++,
    disconnected: () => void heard.disconnects++,
  };
  return heard;
}

const links: NatsLink[] = [];
const servers: NatsServer[] = [];

function link(nats: string, replica: string, options: object = {}, cluster = 'test', logged: string[] = []): NatsLink {
  const access = resolveConfig({ workers: ['http://127.0.0.1:1'], nats: [nats], ...options });
  const log = pino({ base: null }, { write: (line: string) => void logged.push(line) });
  const one = new NatsLink({ access, cluster, replica, log });
  links.push(one);
  return one;
}

async function server(...args: string[]): Promise<NatsServer> {
  const one = await NatsServer.start(...args);
  servers.push(one);
  return one;
}

afterEach(async () => {
  await Promise.all(links.splice(0).map((one) => one.close()));
  await Promise.all(servers.splice(0).map((one) => one.stop()));
});

const connected = (...all: NatsLink[]): Promise<void> =>
  eventually(() => all.every(({ status }) => status.state === 'connected'), 10_000);

describe.skipIf(natsProgram() === null)('a link over NATS', () => {
  it('carries messages to the other replicas of its cluster only, and never back to the sender', async () => {
    const { url } = await server();
    const [a, b, other] = [listener(), listener(), listener()];
    const [one, two, three] = [link(url, 'a'), link(url, 'b'), link(url, 'c', {}, 'elsewhere')];
    one.open(a);
    two.open(b);
    three.open(other);
    await connected(one, two, three);
    await eventually(async () => {
      one.publish('load', bytes('hello'));
      return b.messages.length > 0;
    });
    expect(b.messages[0]).toBe('load hello');
    expect(a.messages).toEqual([]);
    expect(other.messages).toEqual([]);
  });

  it('asks one replica, and gets null from one that is not there', async () => {
    const { url } = await server();
    const [one, two] = [link(url, 'a'), link(url, 'b')];
    one.open(listener());
    two.open(listener(bytes('answer')));
    await connected(one, two);
    await eventually(async () => text((await one.ask('b', bytes('?'), 500)) ?? new Uint8Array()) === 'answer');
    expect(await one.ask('nobody', bytes('?'), 200)).toBeNull();
    expect(await one.ask('*', bytes('?'), 200)).toBeNull();
  });

  it('comes back within a second of the server, and drops and counts what was sent meanwhile', async () => {
    const nats = await server();
    const heard = listener();
    const logged: string[] = [];
    const one = link(nats.url, 'a', {}, 'test', logged);
    one.open(heard);
    await connected(one);
    await nats.stop();
    await eventually(() => heard.disconnects === 1);
    one.publish('load', bytes('lost'));
    expect(one.status).toMatchObject({ state: 'connecting', droppedOut: 1, server: null });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await nats.start();
    await connected(one);
    expect(heard.connects).toBe(2);
    expect(logged.filter((line) => line.includes('no connection to NATS'))).toHaveLength(1);
  });

  it('starts without a server, and finds it when it comes', async () => {
    const nats = await server();
    await nats.stop();
    const one = link(nats.url, 'a');
    one.open(listener());
    await eventually(() => one.status.reason !== null);
    expect(one.status.state).toBe('connecting');
    await nats.start();
    await connected(one);
  });

  it('logs in by user, token and nkey, and says of wrong credentials that they are refused, without them', async () => {
    const byUser = await server('--user', 'kv', '--pass', 'right-password');
    const byToken = await server('--auth', 'right-token');
    const folder = mkdtempSync(join(tmpdir(), 'kvoyant-nats-'));
    const { createUser } = await import('@nats-io/transport-node').then(
      () => import('@nats-io/nkeys') as Promise<{ createUser(): { getPublicKey(): string; getSeed(): Uint8Array } }>,
    );
    const user = createUser();
    writeFileSync(join(folder, 'nats.conf'), `authorization { users = [{ nkey: ${user.getPublicKey()} }] }\n`);
    writeFileSync(join(folder, 'seed'), user.getSeed());
    const byKey = await server('-c', join(folder, 'nats.conf'));
    const right = [
      link(byUser.url, 'a', { natsUser: 'kv', natsPassword: 'right-password' }),
      link(byToken.url, 'b', { natsToken: 'right-token' }),
      link(byKey.url, 'c', { natsNkeyFile: join(folder, 'seed') }),
    ];
    for (const one of right) one.open(listener());
    await connected(...right);
    const logged: string[] = [];
    const wrong = [
      link(byUser.url, 'd', { natsUser: 'kv', natsPassword: 'wrong-password' }, 'test', logged),
      link(byToken.url, 'e', {}, 'test', logged),
    ];
    for (const one of wrong) one.open(listener());
    await eventually(() => wrong.every(({ status }) => status.state === 'refused'), 10_000);
    expect(wrong[0]!.status.reason).toContain('refuses the credentials');
    expect(logged.join()).toContain('NATS refuses the credentials: serving goes on');
    expect(logged.join()).not.toContain('wrong-password');
    rmSync(folder, { recursive: true });
  });

  it('says what the server does not allow', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kvoyant-nats-'));
    const conf = join(folder, 'nats.conf');
    const permissions = '{ publish: "kvoyant.other.>", subscribe: "kvoyant.>" }';
    writeFileSync(conf, `authorization { users = [{ user: kv, password: pw, permissions: ${permissions} }] }\n`);
    const nats = await server('-c', conf);
    const one = link(nats.url, 'a', { natsUser: 'kv', natsPassword: 'pw' });
    one.open(listener());
    await connected(one);
    one.publish('load', bytes('x'));
    await eventually(() => one.status.reason !== null);
    expect(one.status.reason).toContain('kvoyant.test.load');
    expect(one.status.state).toBe('connected');
    rmSync(folder, { recursive: true });
  });

  it('needs no subjects but those of its cluster', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kvoyant-nats-'));
    const conf = join(folder, 'nats.conf');
    const permissions = '{ publish: "kvoyant.test.>", subscribe: "kvoyant.test.>" }';
    writeFileSync(conf, `authorization { users = [{ user: kv, password: pw, permissions: ${permissions} }] }\n`);
    const nats = await server('-c', conf);
    const login = { natsUser: 'kv', natsPassword: 'pw' };
    const [one, two] = [link(nats.url, 'a', login), link(nats.url, 'b', login)];
    const heard = listener(bytes('answer'));
    one.open(listener());
    two.open(heard);
    await connected(one, two);
    await eventually(async () => text((await one.ask('b', bytes('?'), 500)) ?? new Uint8Array()) === 'answer');
    for (const channel of ['load', 'pins', 'limits'] as const) one.publish(channel, bytes('x'));
    await eventually(() => heard.messages.length === 3);
    expect([one.status.reason, two.status.reason]).toEqual([null, null]);
    rmSync(folder, { recursive: true });
  });

  it('survives a listener that throws', async () => {
    const { url } = await server();
    const bad = listener();
    bad.message = () => {
      throw new Error('bug');
    };
    const [one, two] = [link(url, 'a'), link(url, 'b')];
    one.open(listener());
    two.open(bad);
    await connected(one, two);
    for (let i = 0; i < 10; i++) one.publish('load', bytes('x'));
    await eventually(() => two.status.messagesIn === 10);
    expect(two.status.state).toBe('connected');
  });
});

describe('a server that reads nothing', () => {
  it('makes the link drop messages instead of holding them', async () => {
    const sockets: Socket[] = [];
    const fake: Server = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => undefined);
      const info = { server_id: 'x', version: '2.9.10', proto: 1, max_payload: 1_048_576, headers: true };
      socket.write(`INFO ${JSON.stringify(info)}\r\n`);
      socket.once('data', () => {
        socket.write('PONG\r\n');
        socket.pause();
      });
    });
    await new Promise<void>((resolve) => fake.listen(0, '127.0.0.1', resolve));
    const { port } = fake.address() as { port: number };
    const one = link(`nats://127.0.0.1:${port}`, 'a');
    one.open(listener());
    await connected(one);
    const large = new Uint8Array(messageBytesMax);
    for (let i = 0; i < 64; i++) one.publish('load', large);
    expect(one.status.droppedOut).toBeGreaterThan(50);
    expect(one.status.bytesOut).toBeLessThan(12 * messageBytesMax);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => fake.close(resolve));
  });
});

describe('a server that ends each connection at once', () => {
  it('is dialled less and less often, and the log says so once', async () => {
    let dialled = 0;
    const fake: Server = createServer((socket) => {
      dialled += 1;
      socket.on('error', () => undefined);
      socket.write('INFO {"server_id":"x","version":"2.9.10","proto":1,"max_payload":1048576,"headers":true}\r\n');
      socket.once('data', () => socket.end('PONG\r\n'));
    });
    await new Promise<void>((resolve) => fake.listen(0, '127.0.0.1', resolve));
    const { port } = fake.address() as { port: number };
    const logged: string[] = [];
    const one = link(`nats://127.0.0.1:${port}`, 'a', {}, 'test', logged);
    one.open(listener());
    const toldOnce = (): boolean => logged.some((line) => line.includes('each connection to NATS ends at once'));
    await eventually(toldOnce, 10_000);
    const lines = logged.length;
    await new Promise((resolve) => setTimeout(resolve, 2500));
    // At the pace of before it would be 40.
    expect(dialled).toBeLessThan(12);
    expect(logged).toHaveLength(lines);
    await new Promise((resolve) => fake.close(resolve));
  });
});
