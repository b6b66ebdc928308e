// SLO headers: their values, where they are used, and that engines don't get them.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { getJson, Harness, post } from '../../e2e/harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(() => harness.end());

const body = { model: 'fake', prompt: 'x', stream: true };

describe('the SLO of a request', () => {
  it.each([
    [{ 'x-kvoyant-ttft-ms': '250' }, { ttftMs: 250 }],
    [{ 'x-kvoyant-tpot-ms': '0.5' }, { tpotMs: 0.5 }],
    [
      { 'x-llm-d-slo-ttft-ms': '300', 'x-llm-d-slo-tpot-ms': '40' },
      { ttftMs: 300, tpotMs: 40 },
    ],
    [
      { 'x-slo-ttft-ms': '3600000', 'x-slo-tpot-ms': '41' },
      { ttftMs: 3_600_000, tpotMs: 41 },
    ],
    [{ 'x-slo-ttft-ms': '1', 'x-llm-d-slo-ttft-ms': '2', 'x-kvoyant-ttft-ms': '3' }, { ttftMs: 3 }],
    [{ 'x-slo-ttft-ms': '1', 'x-llm-d-slo-ttft-ms': '2' }, { ttftMs: 2 }],
    [{}, undefined],
  ])('in %j goes to the router and the decision record, and to no engine', async (headers, slo) => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    const admit = vi.spyOn(gateway.router('fake')!, 'admit');
    const { status, headers: answered } = await post(gateway, '/v1/completions', body, {
      ...(headers as Record<string, string>),
      'x-slo-note': 'kept',
    });
    expect(status).toBe(200);
    expect(admit).toHaveBeenCalledOnce();
    expect(admit.mock.calls[0]![0]).toMatchObject({ sequences: 1, ...(slo !== undefined && { slo }) });
    if (slo === undefined) expect(admit.mock.calls[0]![0]).not.toHaveProperty('slo');
    const { decisions } = (await getJson(gateway, `/decisions/${answered['x-request-id']}`)) as { decisions: object[] };
    expect(decisions).toMatchObject([{ slo: slo ?? null }]);
    const sent = Object.keys(engine.requests[0]!.headers);
    expect(sent.filter((name) => name.startsWith('x-') && name !== 'x-request-id')).toEqual(['x-slo-note']);
  });

  it.each([
    ['x-kvoyant-ttft-ms', '0'],
    ['x-kvoyant-ttft-ms', '-1'],
    ['x-kvoyant-ttft-ms', 'soon'],
    ['x-kvoyant-ttft-ms', ''],
    ['x-kvoyant-tpot-ms', '3600001'],
    ['x-kvoyant-tpot-ms', 'Infinity'],
    ['x-llm-d-slo-ttft-ms', 'NaN'],
    ['x-llm-d-slo-tpot-ms', '40ms'],
    ['x-slo-ttft-ms', '1, 2'],
    ['x-slo-tpot-ms', ' '],
  ])("is refused with the header's name if it is invalid: %s: %j", async (name, value) => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    const { status, body: text } = await post(gateway, '/v1/completions', body, { [name]: value });
    expect([status, JSON.parse(text)]).toMatchObject([400, { error: { code: 'invalid_value', param: name } }]);
    expect(engine.requests).toEqual([]);
  });

  it('is accepted with any key', async () => {
    const engine = await harness.engine();
    const key = 'plain-secret-0000001';
    const gateway = await harness.gateway({ workers: [engine.url], apiKeys: [{ name: 'plain', key }] });
    const headers = { authorization: `Bearer ${key}`, 'x-kvoyant-ttft-ms': '250' };
    const answer = await post(gateway, '/v1/completions', body, headers);
    const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: object[] };
    expect([answer.status, decisions]).toMatchObject([200, [{ slo: { ttftMs: 250 } }]]);
  });

  it('reaches no engine through the passthrough routes', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    const headers = { 'x-slo-ttft-ms': '250', 'x-llm-d-slo-tpot-ms': 'x' };
    expect((await post(gateway, '/v1/messages/count_tokens', { model: 'fake', input: 'x' }, headers)).status).toBe(200);
    expect(Object.keys(engine.requests[0]!.headers).filter((name) => name.includes('slo'))).toEqual([]);
  });
});
