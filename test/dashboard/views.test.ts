// The views of the page in a real browser, with made-up data: accessible, usable by keyboard, quick with many workers.

import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildPage, chromiumPath, launch, openPage } from './browser.ts';
import { FakeGateway } from './fake-gateway.ts';
import { smoothness, smoothnessLine } from './frames.ts';

const folder = join(import.meta.dirname, '..', '..', 'dist', 'dashboard');
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const seconds = 1000;

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string;
    readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
  }[];
}

describe.skipIf(chromiumPath === null)('the page', () => {
  let browser: Browser;
  beforeAll(async () => {
    buildPage();
    browser = await launch();
  });
  afterAll(async () => {
    await browser.close();
  });

  it('is less than 150 KB in all, compressed, and refers to nothing outside', () => {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    const compressed = files.filter((file) => file.endsWith('.br')).map((file) => readFileSync(join(folder, file)));
    expect(compressed.length).toBeGreaterThanOrEqual(4);
    expect(compressed.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(150_000);
    const html = readFileSync(join(folder, 'index.html'), 'utf8');
    expect(html).not.toMatch(/https?:|<style|style=|<script>|\son\w+=/);
  });

  it.each(['dark', 'light'] as const)('has no serious fault of accessibility in any view, %s', async (colorScheme) => {
    const gateway = await FakeGateway.start({ workers: 14, decisionsPerS: 4 });
    const { page, complaints } = await openPage(browser, { colorScheme, bypassCSP: true, reducedMotion: 'reduce' });
    try {
      const { requestId } = gateway.fleet.decisions[280]!;
      const worker = encodeURIComponent(gateway.fleet.idOf(2));
      const views = ['fleet', `fleet/${worker}`, 'decisions', `decisions/${requestId}`, 'prefixes', 'truth', 'what-if'];
      await page.goto(`${gateway.url}/dashboard/`);
      await page.addScriptTag({ content: axeSource });
      for (const view of views) {
        await page.evaluate(`location.hash = '#/${view}'`);
        await page.locator('main h2').first().waitFor();
        await page.waitForTimeout(300);
        if (view === 'what-if') {
          await page.getByRole('button', { name: 'Replay' }).click();
          await page.locator('table.what-if').waitFor();
        }
        const result = (await page.evaluate('axe.run(document, { resultTypes: ["violations"] })')) as AxeResult;
        const serious = result.violations
          .filter(({ impact }) => impact === 'serious' || impact === 'critical')
          .map(({ id, nodes }) => `${view}: ${id}: ${nodes[0]!.html} ${nodes[0]!.failureSummary}`);
        expect(serious).toEqual([]);
      }
      expect(complaints).toEqual([]);
    } finally {
      await page.context().close();
      await gateway.close();
    }
  });

  it('can be used with the keyboard alone', async () => {
    const gateway = await FakeGateway.start({ workers: 30, decisionsPerS: 0 });
    const { page, complaints } = await openPage(browser);
    const focused = (): Promise<string> =>
      page.evaluate(
        'document.activeElement?.getAttribute("data-worker") ?? document.activeElement?.getAttribute("data-at") ?? document.activeElement?.id ?? ""',
      );
    try {
      await page.goto(`${gateway.url}/dashboard/`);
      await page.locator('.cell').first().waitFor();
      await page.keyboard.press('Tab');
      expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the content');
      await page.keyboard.press('Enter');
      expect(await focused()).toBe('main');
      await page.locator('.cell').first().focus();
      await page.keyboard.press('ArrowRight');
      expect(await focused()).toBe(gateway.fleet.idOf(1));
      await page.keyboard.press('Enter');
      await page.locator('#opened').waitFor();
      expect(page.url()).toContain(encodeURIComponent(gateway.fleet.idOf(1)));
      await page.getByRole('link', { name: 'Decisions', exact: true }).focus();
      await page.keyboard.press('Enter');
      await page.locator('.row-link').first().waitFor();
      await page.keyboard.press('/');
      expect(await page.evaluate('document.activeElement.type')).toBe('search');
      await page.locator('[data-at="0"]').focus();
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowDown');
      expect(await focused()).toBe('2');
      await page.keyboard.press('Enter');
      await page.locator('.detail .why').waitFor();
      expect(await page.locator('tr.chosen').count()).toBe(1);
      expect(complaints).toEqual([]);
    } finally {
      await page.context().close();
      await gateway.close();
    }
  });

  it('asks before it drains, and filters by what the address says', async () => {
    const gateway = await FakeGateway.start({ workers: 4, decisionsPerS: 0 });
    const { page, complaints } = await openPage(browser, { viewport: { width: 390, height: 844 } });
    try {
      await page.goto(`${gateway.url}/dashboard/`);
      await page.getByRole('button', { name: 'Drain 10.0.0.10', exact: true }).click();
      await page.keyboard.press('Escape');
      expect(gateway.fleet.draining.size).toBe(0);
      await page.getByRole('button', { name: 'Drain 10.0.0.10', exact: true }).click();
      await page.getByRole('dialog').getByRole('button', { name: 'Drain' }).click();
      await page.getByRole('button', { name: 'Undrain 10.0.0.10' }).waitFor();
      expect([...gateway.fleet.draining]).toEqual([gateway.fleet.idOf(0)]);
      await page.goto(`${gateway.url}/dashboard/#/decisions?surprise=any`);
      await page.locator('.row-link').first().waitFor();
      expect(await page.getByRole('button', { name: 'Surprises' }).getAttribute('aria-pressed')).toBe('true');
      expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
      expect(complaints).toEqual([]);
    } finally {
      await page.context().close();
      await gateway.close();
    }
  });

  it('misses neither an address that changes while it loads, nor a key right after a click', async () => {
    const gateway = await FakeGateway.start({ workers: 4, decisionsPerS: 0 });
    const { page } = await openPage(browser);
    try {
      await page.addInitScript("addEventListener('DOMContentLoaded', () => { location.hash = '#/decisions'; })");
      await page.goto(`${gateway.url}/dashboard/`);
      await page.locator('[data-at="2"]').waitFor();
      await page.evaluate("location.hash = '#/fleet'");
      await page.locator('.card .actions button').first().waitFor();
      const opened =
        'document.querySelector(".card .actions button").click(), ' +
        'Promise.resolve().then(() => document.querySelector("dialog:modal") !== null)';
      expect(await page.evaluate(opened)).toBe(true);
    } finally {
      await page.context().close();
      await gateway.close();
    }
  });

  it('shows a login where a key is needed, and says what is wrong with it', async () => {
    const gateway = await FakeGateway.start({ workers: 2, decisionsPerS: 0, key: 'open sesame' });
    const { page } = await openPage(browser);
    try {
      await page.goto(`${gateway.url}/dashboard/`);
      await page.getByLabel('Key').fill('wrong');
      await page.keyboard.press('Enter');
      await page.getByRole('alert').filter({ hasText: 'the key is unknown' }).waitFor();
      await page.getByLabel('Key').fill('open sesame');
      await page.keyboard.press('Enter');
      await page.locator('.card').first().waitFor();
      expect(await page.evaluate('document.documentElement.outerHTML + JSON.stringify(localStorage)')).not.toContain(
        'sesame',
      );
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByLabel('Key').waitFor();
    } finally {
      await page.context().close();
      await gateway.close();
    }
  });

  it('keeps up with 64 workers and 1,000 decisions a second, in a document of bounded size', async () => {
    const gateway = await FakeGateway.start({ workers: 64, decisionsPerS: 1000 });
    const { page, complaints } = await openPage(browser);
    try {
      await page.goto(`${gateway.url}/dashboard/#/decisions`);
      await page.locator('.row-link').first().waitFor();
      await page.locator('.list .faint', { hasText: 'of them shown' }).waitFor({ timeout: 20 * seconds });
      const lines = [smoothnessLine('decisions', await smoothness(page, 2 * seconds))];
      expect(await page.locator('*').count()).toBeLessThan(1500);
      await page.getByRole('link', { name: 'Fleet', exact: true }).click();
      expect(await page.locator('.cell').count()).toBe(64);
      expect(await page.locator('.cell.down').count()).toBe(1);
      lines.push(smoothnessLine('fleet', await smoothness(page, 2 * seconds)));
      console.log(lines.join('\n'));
      expect(complaints).toEqual([]);
    } finally {
      await page.context().close();
      await gateway.close();
    }
  });
});
