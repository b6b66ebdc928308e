// The page in a real browser before a real gateway: its figures are those of /loads and /metrics, and it tells of failures.

import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { endStream, type FakeEngine, type FakeRequest, openStream, sendToken } from '../e2e/fake-engine.ts';
import { chatBody, eventually, Harness, loads, post } from '../e2e/harness.ts';
import { buildPage, chromiumPath, launch, openPage } from './browser.ts';

/** What should take 3 s at most may take five times as long on a busy machine. */
const slackMs = 15_000;

describe.skipIf(chromiumPath === null)('the page of a gateway', () => {
  let browser: Browser;
  let harness: Harness;
  beforeAll(async () => {
    buildPage();
    browser = await launch();
  });
  afterAll(async () => {
    await browser.close();
  });
  beforeEach(() => {
    harness = new Harness();
  });
  afterEach(async () => {
    await harness.end();
  });

  const stream = (gateway: Gateway) => post(gateway, '/v1/chat/completions', { ...chatBody, stream: true });

  it('shows the figures of /loads and /metrics, and keeps its history over a reload', async () => {
    const engines = await harness.engines(2);
    const held: FakeRequest[] = [];
    for (const engine of engines) {
      engine.behaviour = (request) => {
        openStream(request);
        sendToken(request, 'a');
        held.push(request);
      };
    }
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url), policy: 'round-robin' });
    const running = [stream(gateway), stream(gateway), stream(gateway)];
    await eventually(() => held.length === 3);
    const { page, complaints } = await openPage(browser);
    try {
      await page.goto(`${gateway.adminUrl}/`);
      for (const { id, runningRequests, activeBlocks } of (await loads(gateway)).workers) {
        const card = page.locator(`[data-worker="${id}"]`);
        await card
          .locator('.figures dd')
          .first()
          .filter({ hasText: new RegExp(`^${runningRequests}$`) })
          .waitFor();
        expect(await card.locator('.blocks').textContent()).toContain(`${activeBlocks} of `);
      }
      const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
      const inMetrics = [...metrics.matchAll(/^kvoyant_running_requests\{[^}]*\} (\d+)/gm)].map(([, value]) =>
        Number(value),
      );
      expect(inMetrics.reduce((sum, value) => sum + value, 0)).toBe(3);
      expect(await page.locator('.headline').textContent()).toContain('3 in flight');
      for (const request of held.splice(0)) endStream(request, 5, 1);
      await Promise.all(running);
      await page.locator('.headline').filter({ hasText: '0 in flight' }).waitFor({ timeout: slackMs });
      await page.reload();
      await page.goto(`${gateway.adminUrl}/dashboard/#/decisions`);
      await page.locator('[data-at="2"]').waitFor();
      await page.locator('[data-at="0"]').click();
      await page.locator('.detail .why').waitFor();
      expect(await page.locator('.cost-table tbody tr').count()).toBe(2);
      expect(complaints).toEqual([]);
    } finally {
      await page.context().close();
    }
  });

  it('turns the card of a killed engine red, and says when the gateway itself is gone', async () => {
    const engines = await harness.engines(2);
    // As often as by default: the printed figure is an operator's.
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url), probeIntervalMs: 1000 });
    const { page } = await openPage(browser);
    try {
      await page.goto(`${gateway.adminUrl}/dashboard/`);
      await page.locator('.card.is-well').nth(1).waitFor();
      const [killed] = engines as [FakeEngine, FakeEngine];
      const killedMs = performance.now();
      await killed.close();
      await page.locator(`.card.is-down[data-worker="${killed.url}#0"]`).waitFor({ timeout: slackMs });
      console.log(`the card of a killed engine is red after ${Math.round(performance.now() - killedMs)} ms`);
      expect(await page.locator('.card.is-down').textContent()).toContain('down');
      expect(await page.locator('.headline').textContent()).toContain('1 not');
      await gateway.close();
      await page.getByText(/data .+ old, reconnecting/).waitFor({ timeout: slackMs });
    } finally {
      await page.context().close();
    }
  });
});
