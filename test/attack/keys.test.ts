// Attempts without a key: a key file that becomes invalid at run time, and headers that only resemble a key.

import { mkdirSync, mkdtempSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../e2e/harness.ts';
import { size } from './attack-size.ts';
import { type Attacked, finish, startAttacked } from './attacked.ts';

const secret = 'some-secret-00000001';
const adminKey = 'admin-secret-0000001';
const sound = `- k:${secret}\n`;
/** The gateway checks its files once a second. */
const noticedMsMax = 20_000;
let attacked: Attacked;
let folder: string;
let file: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kvoyant-keys-'));
  file = join(folder, 'keys.yaml');
  writeFileSync(file, sound);
  attacked = await startAttacked({ flags: ['--api-keys-file', file] });
});
afterAll(async () => {
  await finish(attacked, 'keys');
  rmSync(folder, { recursive: true });
});

/** @param headers alternating names and values, so that a name can be repeated */
function statusOf(path: string, headers: readonly string[]): Promise<number> {
  const body = '{"model":"scripted","prompt":"x","max_tokens":2,"stream":true}';
  return new Promise((resolve, reject) => {
    const all = ['host', 'x', 'content-type', 'application/json', 'content-length', `${body.length}`, ...headers];
    const options = { method: 'POST', headers: all, agent: false };
    const request = httpRequest(attacked.gateway.url + path, options, (response) => {
      response.resume().on('end', () => resolve(response.statusCode!));
    });
    request.on('error', reject);
    request.end(body);
  });
}

const keyed = ['authorization', `Bearer ${secret}`];

it('admits nobody without a key while the key file is empty, truncated, missing or not a file', async () => {
  const refusals = (): number => attacked.gateway.logged('configuration refused').length;
  const breakIt: (() => void)[] = [
    () => writeFileSync(file, ''),
    () => unlinkSync(file),
    () => writeFileSync(file, '- k:so'),
    () => writeFileSync(file, '# nobody\n'),
    () => {
      unlinkSync(file);
      mkdirSync(file);
    },
  ];
  for (const act of breakIt.slice(0, size(breakIt.length, 2))) {
    const before = refusals();
    act();
    await eventually(async () => {
      expect(await statusOf('/v1/completions', [])).toBe(401);
      return refusals() > before;
    }, noticedMsMax);
    expect(await statusOf('/v1/completions', [])).toBe(401);
    expect(await statusOf('/v1/completions', keyed)).toBe(200);
  }
  rmSync(file, { recursive: true, force: true });
  const next = join(folder, 'next.yaml');
  writeFileSync(next, '- k:another-secret-0001\n');
  renameSync(next, file);
  await eventually(async () => (await statusOf('/v1/completions', keyed)) === 401, noticedMsMax);
  expect(await statusOf('/v1/completions', ['x-api-key', 'another-secret-0001'])).toBe(200);
  writeFileSync(file, sound);
  await eventually(async () => (await statusOf('/v1/completions', keyed)) === 200, noticedMsMax);
}, 120_000);

it('accepts nothing but the key itself', async () => {
  const lures: (readonly string[])[] = [
    ['authorization', secret],
    ['authorization', `Bearer${secret}`],
    ['authorization', `Bearer\t${secret}`],
    ['authorization', `Basic ${Buffer.from(`k:${secret}`).toString('base64')}`],
    ['authorization', `Token ${secret}`],
    ['authorization', `Bearer k:${secret}`],
    ['authorization', `Bearer ${secret.toUpperCase()}`],
    ['authorization', `Bearer ${secret.slice(0, -1)}`],
    ['authorization', `Bearer ${secret}x`],
    ['authorization', `Bearer ${secret}, Bearer ${secret}`],
    ['authorization', `Bearer null`],
    ['authorization', 'Bearer undefined'],
    ['authorization', 'Bearer '],
    ['authorization', `Bearer ${adminKey}`],
    ['authorization', 'Bearer wrong-secret-0000001', 'authorization', `Bearer ${secret}`],
    ['x-api-key', ''],
    ['x-api-key', 'null'],
    ['x-api-key', `Bearer ${secret}`],
    ['x-api-key', secret, 'x-api-key', secret],
    ['cookie', `authorization=Bearer ${secret}; key=${secret}`],
    ['proxy-authorization', `Bearer ${secret}`],
    ['x-authorization', `Bearer ${secret}`],
    ['x-forwarded-for', '127.0.0.1', 'x-real-ip', '127.0.0.1'],
    ['x-forwarded-user', 'k', 'x-remote-user', 'k'],
    ['connection', 'authorization, x-api-key'],
    ['origin', 'http://localhost'],
  ];
  for (const headers of lures) expect([headers, await statusOf('/v1/completions', headers)]).toEqual([headers, 401]);
  for (const query of [`?key=${secret}`, `?api_key=${secret}`, `?authorization=Bearer%20${secret}`]) {
    expect(await statusOf(`/v1/completions${query}`, [])).toBe(401);
  }
  for (const path of ['/v1/embeddings', '/v1/models', '/tokenize', '/v1/none']) {
    expect([path, await statusOf(path, [])]).toEqual([path, 401]);
  }
  for (const path of ['/workers', '/workers/x/drain', '/loads', '/metrics', '/decisions', '/v1/load_lora_adapter']) {
    for (const headers of [[], keyed]) expect([path, await statusOf(path, headers)]).toEqual([path, 403]);
  }
});
