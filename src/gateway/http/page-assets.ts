// The built page: its files are read once, and served from memory by exact path.

import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { Exchange } from '../exchange/exchange.ts';
import { replyText } from '../exchange/http-reply.ts';
import { notFound } from './route-table.ts';

/** Under vitest the sources run, and the page lies where `npm run build` has put it. */
export const builtPage: URL = new URL(
  import.meta.url.endsWith('.ts') ? '../../../dist/dashboard/' : '../../dashboard/',
  import.meta.url,
);

/** Where the page is served. */
export const pagePath = '/dashboard/';

/** A folder with more is not the page: the rest is not served. */
const assetsMax = 512;
const assetsBytesMax = 32 * 1024 * 1024;
/** How long to wait before a folder that was not there is read again. */
const retryMs = 1000;

const contentTypes: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  png: 'image/png',
  ico: 'image/x-icon',
  json: 'application/json',
  webmanifest: 'application/manifest+json',
  woff2: 'font/woff2',
  txt: 'text/plain; charset=utf-8',
};

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; " +
  "manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/** On every answer of the page's routes. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': policy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

const notBuilt =
  'The page is not built: run npm run build. Its figures are at /workers, /loads, /decisions and /metrics.\n';

interface Asset {
  readonly type: string;
  readonly tag: string;
  readonly plain: Buffer;
  /** Compressed by the build; null: not. */
  readonly br: Buffer | null;
  readonly gzip: Buffer | null;
}

export class PageAssets {
  readonly #folder: string;
  readonly #nowMs: () => number;
  #files: Promise<ReadonlyMap<string, Asset> | null> | null = null;
  #readMs = Number.NEGATIVE_INFINITY;

  /** @param nowMs a monotonic clock */
  constructor(folder: string, nowMs: () => number) {
    this.#folder = folder;
    this.#nowMs = nowMs;
  }

  /** The page is `/dashboard/`, which `/` and `/dashboard` lead to; its files lie below. @throws RequestError 404 */
  async answer(exchange: Exchange, path: string): Promise<void> {
    const { response, request } = exchange;
    for (const [name, value] of Object.entries(pageHeaders)) response.setHeader(name, value);
    if (path === '/' || path === '/dashboard') {
      // Relative: a proxy in front may have put a prefix before the path.
      response.writeHead(302, { location: 'dashboard/', 'cache-control': 'no-store', 'content-length': 0 }).end();
      return;
    }
    const files = await this.#read();
    if (exchange.gone) return;
    if (files === null) {
      replyText(response, 503, 'text/plain; charset=utf-8', notBuilt, { 'cache-control': 'no-store' });
      return;
    }
    const asset = files.get(path === pagePath ? '/index.html' : path.slice(pagePath.length - 1));
    if (asset === undefined) throw notFound(path);
    const encoding = chosen(asset, request.headers['accept-encoding'] ?? '');
    const tag = `"${asset.tag}${encoding === null ? '' : `-${encoding}`}"`;
    // Names of built files contain a hash of their content.
    const cache = path.startsWith(`${pagePath}assets/`) ? 'public, max-age=31536000, immutable' : 'no-cache';
    const headers = { etag: tag, 'cache-control': cache, vary: 'accept-encoding' };
    if (request.headers['if-none-match']?.split(/\s*,\s*/).includes(tag) === true) {
      response.writeHead(304, headers).end();
      return;
    }
    const body = encoding === 'br' ? asset.br! : encoding === 'gzip' ? asset.gzip! : asset.plain;
    response.writeHead(200, {
      ...headers,
      ...(encoding !== null && { 'content-encoding': encoding }),
      'content-type': asset.type,
      'content-length': body.length,
    });
    response.end(body);
  }

  #read(): Promise<ReadonlyMap<string, Asset> | null> {
    if (this.#files !== null) return this.#files;
    if (this.#nowMs() - this.#readMs < retryMs) return Promise.resolve(null);
    this.#readMs = this.#nowMs();
    const reading = readAssets(this.#folder).catch(() => null);
    this.#files = reading;
    void reading.then((files) => {
      if (files === null) this.#files = null;
    });
    return reading;
  }
}

/** @returns null if the page is not there */
async function readAssets(folder: string): Promise<ReadonlyMap<string, Asset> | null> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const contents = new Map<string, Buffer>();
  let bytes = 0;
  for (const entry of entries.filter((one) => one.isFile()).slice(0, assetsMax)) {
    const path = join(entry.parentPath, entry.name);
    bytes += (await stat(path)).size;
    if (bytes > assetsBytesMax) break;
    contents.set(`/${relative(folder, path).split(sep).join('/')}`, await readFile(path));
  }
  const files = new Map<string, Asset>();
  for (const [path, plain] of contents) {
    const type = contentTypes[path.slice(path.lastIndexOf('.') + 1)];
    if (type === undefined) continue;
    const tag = createHash('sha256').update(plain).digest('base64url').slice(0, 22);
    files.set(path, {
      type,
      tag,
      plain,
      br: contents.get(`${path}.br`) ?? null,
      gzip: contents.get(`${path}.gz`) ?? null,
    });
  }
  return files.has('/index.html') ? files : null;
}

function chosen({ br, gzip }: Asset, accepted: string): 'br' | 'gzip' | null {
  const accepts = (encoding: string): boolean =>
    accepted.split(',').some((part) => {
      const [name = '', weight = ''] = part.split(';');
      return name.trim().toLowerCase() === encoding && !/^\s*q=0(?:\.0*)?\s*$/.test(weight);
    });
  if (br !== null && accepts('br')) return 'br';
  return gzip !== null && accepts('gzip') ? 'gzip' : null;
}
