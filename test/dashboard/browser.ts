// Chromium for the tests of the page: found, or installed by apt where that is possible, or missing with a reason.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { chromium } from 'playwright-core';

const root = join(import.meta.dirname, '..', '..');
const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Null: there is none, and the tests are skipped. */
export const chromiumPath: string | null = findChromium();

function findChromium(): string | null {
  const found = places.find(existsSync);
  if (found !== undefined) return found;
  if (process.platform === 'linux' && existsSync('/usr/bin/apt-get') && process.getuid?.() === 0) {
    const options = { stdio: 'ignore', timeout: 240_000 } as const;
    spawnSync('apt-get', ['update', '-qq'], options);
    spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], options);
  }
  const installed = places.find(existsSync) ?? null;
  if (installed === null) console.warn('SKIPPED: the tests of the page need Chromium (apt-get install chromium)');
  return installed;
}

/** Builds the page if nobody has: `npm test` does it before the tests. */
export function buildPage(): void {
  if (existsSync(join(root, 'dist', 'dashboard', 'index.html'))) return;
  spawnSync(process.execPath, [join(root, 'scripts', 'build-page.mjs')], { stdio: 'inherit' });
}

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath!, args: ['--no-sandbox', '--disable-gpu'] });
}

export interface WatchedPage {
  readonly page: Page;
  /** What the browser complains about: errors of scripts, of the console, and of the content security policy. */
  readonly complaints: string[];
}

export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  return { page, complaints };
}
