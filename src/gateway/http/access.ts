// Access control: clients by API key, operators by their keys or because they are on this machine.

import type { IncomingMessage } from 'node:http';
import { RequestError } from '../../wire/openai-error.ts';
import { ApiKeyring } from '../config/api-keys.ts';
import { isThisMachine } from '../config/listen-address.ts';
import { isGuarded } from '../config/operator-guard.ts';
import { SecretCheck } from '../config/secret-hash.ts';
import type { ClientKey } from '../config/tenants.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import type { PageSession } from '../page/page-data.ts';
import { ClientCertificates } from './client-certificates.ts';
import { whyElsewhere, whyForeign, whyOtherSite } from './foreign-request.ts';
import { LoginTries } from './login-tries.ts';
import { OperatorCertificates, type OperatorRole } from './operator-certificates.ts';
import { cookieName, type PageSessionEntry, PageSessions, readCookie, sessionCookie } from './page-sessions.ts';

/** Methods that change nothing on any route. */
const views: ReadonlySet<string> = new Set(['GET', 'HEAD']);

export interface AccessSettings {
  /** Hash of the key for all operator routes; null if there is none. */
  readonly adminKey: string | null;
  /** Hash of the key for GET only; null if there is none. */
  readonly viewKey: string | null;
  /** Address of the operators' listener. */
  readonly adminHost: string;
  readonly clientCertRequired: boolean;
  /** Names in certificates of operators, at their listener. */
  readonly adminCertificates: readonly string[];
  readonly viewCertificates: readonly string[];
}

/** Browsers send it with writes of the page's own scripts only. */
const pageHeader = 'x-kvoyant-page';

export class Access {
  readonly #sessions = new PageSessions(() => Date.now());
  readonly #tries = new LoginTries(() => performance.now());
  /** Changes with the operators' keys: who was admitted before has to show a key again. */
  #epoch = 0;
  #keys = '';
  #keyring: ApiKeyring<ClientKey> = new ApiKeyring([]);
  #admin: SecretCheck | null = null;
  #view: SecretCheck | null = null;
  #adminHost = '';
  #certRequired = false;
  #operators = new OperatorCertificates();
  #isSoleSelector = true;
  /** Nobody is an operator without a key or a certificate. */
  #isGuarded = false;
  readonly certificates: ClientCertificates = new ClientCertificates();

  /** @param authorities of clients' certificates, in PEM; null: they are not asked for any */
  configure(apiKeys: readonly ClientKey[], settings: AccessSettings, authorities: string | null = null): void {
    const { adminKey, viewKey, adminHost, clientCertRequired, adminCertificates, viewCertificates } = settings;
    this.certificates.trust(authorities);
    this.#operators = new OperatorCertificates(adminCertificates, viewCertificates);
    this.#isGuarded = isGuarded(settings);
    this.#certRequired = clientCertRequired;
    this.#keyring = new ApiKeyring(apiKeys);
    this.#isSoleSelector = apiKeys.filter(({ selection }) => selection).length < 2;
    this.#admin = adminKey === null ? null : new SecretCheck(adminKey);
    this.#view = viewKey === null ? null : new SecretCheck(viewKey);
    this.#adminHost = adminHost;
    const keys = JSON.stringify([adminKey, viewKey]);
    if (keys === this.#keys) return;
    this.#keys = keys;
    this.#epoch += 1;
    this.#sessions.clear();
  }

  /** Whether clients need an API key. */
  get needsKey(): boolean {
    return !this.#keyring.open;
  }

  /** Whether at most one API key may use the selection service. */
  get isSoleSelector(): boolean {
    return this.#isSoleSelector;
  }

  /** Authorizes a request to the OpenAI API and records its key. @throws RequestError 401 without a known key */
  admitClient(exchange: Exchange): void {
    this.#mustBeCertified(exchange);
    if (this.#keyring.open) return;
    const secret = secretOf(exchange);
    exchange.key = this.#keyOf(exchange, secret);
    if (exchange.key === null && secret === null)
      throw unauthorized('invalid_api_key', 'an API key is required: authorization: Bearer KEY, or x-api-key: KEY');
    if (exchange.key === null) throw unauthorized('invalid_api_key', 'the API key is unknown');
    withholdKeys(exchange);
  }

  /** The name in the client's certificate that counts, or `''` if none does; null: it has shown no certificate. */
  provenName(request: IncomingMessage): string | null {
    const names = this.certificates.of(request);
    return names === null ? null : (this.#keyring.certified(names)?.name ?? '');
  }

  /** By a known secret, else by the certificate: many clients can't leave out the secret, and send any. */
  #keyOf({ request }: Exchange, secret: string | null): ClientKey | null {
    const key = secret === null ? null : this.#keyring.find(secret);
    if (key !== null) return key;
    const names = this.certificates.of(request);
    return names === null ? null : (this.#keyring.certified(names)?.key ?? null);
  }

  /** TLS refuses such clients by itself; this finds connections whose certificate no longer counts. */
  #mustBeCertified({ request, response }: Exchange): void {
    if (!this.#certRequired || this.certificates.of(request) !== null) return;
    response.setHeader('connection', 'close');
    throw unauthorized(
      'certificate_needed',
      'a certificate is required, and the authorities have changed: connect again',
    );
  }

  /**
   * Authorizes a request to the selection service and records its API key: one with the right, or the admin key. Without
   * any keys, only from this machine.
   * @param host address of the listener
   * @throws RequestError 401, 403
   */
  admitSelector(exchange: Exchange, host: string): void {
    this.#mustBeCertified(exchange);
    const secret = secretOf(exchange);
    if (secret !== null && this.#admin?.accepts(secret) === true) return;
    exchange.key = this.#keyOf(exchange, secret);
    if (exchange.key?.selection === true) return;
    if (exchange.key !== null) {
      const message = `the key ${exchange.key.name} may not use the selection service: it needs selection: true`;
      throw new RequestError(403, 'selection_not_allowed', message);
    }
    if (secret !== null || this.#admin !== null || !this.#keyring.open || !isThisMachine(host)) {
      throw unauthorized('invalid_api_key', 'an API key with selection: true, or the admin key, is required');
    }
    const reason = whyForeign(exchange, host);
    if (reason !== null) throw new RequestError(403, 'selection_only_local', `without a key ${reason}`);
  }

  /**
   * Authorizes an operator's request at the clients' port, which always needs a key.
   * @throws RequestError 401 without the right key; 403 if no operator key is set, or the key does not suffice
   */
  admitOperatorAmongClients(exchange: Exchange): void {
    this.#mustBeCertified(exchange);
    if (this.#admitByKey(exchange)) return;
    if (this.#admin === null && this.#view === null) {
      throw new RequestError(
        403,
        'operators_elsewhere',
        'this port needs an adminKey or a viewKey for operator routes; none is set, so use the port of operators (adminPort)',
      );
    }
    throw keyNeeded();
  }

  /**
   * Authorizes a request at the operators' listener: by key, by a session of the page, by certificate, or from this
   * machine if there is neither an adminKey nor a certificate for it.
   * @throws RequestError 401, 403
   */
  admitOperator(exchange: Exchange): void {
    if (this.#admitByKey(exchange) || this.#admitBySession(exchange) || this.#admitByCertificate(exchange)) return;
    if (this.#isGuarded) throw keyNeeded();
    const reason = whyForeign(exchange, this.#adminHost);
    if (reason !== null) throw new RequestError(403, 'admin_only_local', `without an adminKey ${reason}`);
  }

  /**
   * Authorizes a request for the page's files, which hold no data: without an adminKey from this machine only. A link on
   * another site may lead here.
   * @throws RequestError 403
   */
  admitLooker(exchange: Exchange): void {
    if (this.#isGuarded) return;
    const reason = whyElsewhere(exchange, this.#adminHost);
    if (reason !== null) throw new RequestError(403, 'admin_only_local', `without an adminKey ${reason}`);
  }

  /** What this browser may do. */
  pageSession(exchange: Exchange): PageSession {
    const session = this.#sessionOf(exchange);
    return session === null ? this.signedOut(exchange) : opened(session);
  }

  /** The same without a session. */
  signedOut(exchange: Exchange): PageSession {
    const role = this.#roleOf(exchange);
    if (role !== null) return { open: true, needsKey: false, mayAct: role === 'admin', expiresMs: null };
    const needsKey = this.#isGuarded || whyForeign(exchange, this.#adminHost) !== null;
    return { open: !needsKey, needsKey, mayAct: !needsKey, expiresMs: null };
  }

  /**
   * Opens a session for a browser that shows the admin key or the view key, and sets its cookie.
   * @throws RequestError 401 for a wrong key, 403 for a foreign page, 429 after too many wrong keys
   */
  login(exchange: Exchange, key: unknown): PageSession {
    this.#mustBeOwnPage(exchange);
    const { socket } = exchange.request;
    const address = socket.remoteAddress ?? '';
    const waitS = this.#tries.waitS(address);
    if (waitS > 0) {
      const message = 'too many wrong keys: try again later';
      throw new LimitReached('loginTriesMax', 429, 'too_many_tries', message, waitS);
    }
    const secret = typeof key === 'string' ? key : '';
    const role = this.#admin?.accepts(secret) ? 'admin' : this.#view?.accepts(secret) ? 'view' : null;
    if (role === null) {
      this.#tries.wrong(address);
      throw unauthorized('invalid_admin_key', 'this is neither the admin key nor the view key');
    }
    this.logout(exchange);
    const token = this.#sessions.open(role);
    setCookie(exchange, token);
    return opened(this.#sessions.find(token)!);
  }

  /** Ends the session of this browser, if it has one. @throws RequestError 403 for a foreign page */
  logout(exchange: Exchange): void {
    this.#mustBeOwnPage(exchange);
    const token = tokenOf(exchange);
    if (token !== null) this.#sessions.end(token);
    setCookie(exchange, null);
  }

  /** For an admitted request: whether it would be admitted still, however long its answer takes. */
  lasting(exchange: Exchange): () => boolean {
    const epoch = this.#epoch;
    const token = this.#sessionOf(exchange) === null ? null : tokenOf(exchange);
    const role = this.#roleOf(exchange);
    return () =>
      this.#epoch === epoch &&
      (token === null || this.#sessions.find(token) !== null) &&
      (role === null || this.#roleOf(exchange) !== null);
  }

  /** @returns false if the request belongs to no session @throws RequestError 403 */
  #admitBySession(exchange: Exchange): boolean {
    const session = this.#sessionOf(exchange);
    if (session === null) return false;
    if (views.has(exchange.request.method ?? 'GET')) return true;
    this.#mustBeOwnPage(exchange);
    if (session.role === 'admin') return true;
    throw new RequestError(403, 'view_only', 'the view key allows only to look; this needs the admin key');
  }

  /** What the certificate of the connection allows; null: nothing, or there is none. */
  #roleOf({ request }: Exchange): OperatorRole | null {
    return this.#operators.roleOf(this.certificates.of(request));
  }

  /** @returns false if the certificate gives no rights @throws RequestError 403 */
  #admitByCertificate(exchange: Exchange): boolean {
    const role = this.#roleOf(exchange);
    if (role === null) return false;
    // A browser shows it with every request to this address, whoever's page makes it.
    const reason = whyOtherSite(exchange);
    if (reason !== null) throw new RequestError(403, 'foreign_page', reason);
    if (role === 'admin' || views.has(exchange.request.method ?? 'GET')) return true;
    throw new RequestError(403, 'view_only', 'this certificate allows only GET; this needs an admin');
  }

  #sessionOf(exchange: Exchange): PageSessionEntry | null {
    const token = tokenOf(exchange);
    return token === null ? null : this.#sessions.find(token);
  }

  /** The browser adds the cookie to any write to this address, so the page must show that the write is its own. */
  #mustBeOwnPage({ request: { headers } }: Exchange): void {
    const { origin, host } = headers;
    const isOwn = origin === `http://${host}` || origin === `https://${host}`;
    if (isOwn && headers[pageHeader] === '1' && (headers['sec-fetch-site'] ?? 'same-origin') === 'same-origin') return;
    throw new RequestError(
      403,
      'foreign_page',
      `a write of the page needs its own Origin and the header ${pageHeader}: 1`,
    );
  }

  /** @returns false if the request has no operator key @throws RequestError 403 if the view key does not suffice */
  #admitByKey(exchange: Exchange): boolean {
    const secret = secretOf(exchange);
    if (secret === null) return false;
    if (this.#admin?.accepts(secret) === true) return true;
    if (this.#view?.accepts(secret) !== true) return false;
    if (views.has(exchange.request.method ?? 'GET')) return true;
    throw new RequestError(403, 'view_only', 'the view key allows only GET; this needs the admin key');
  }
}

/** Anthropic clients and some proxies send `x-api-key`; a bearer token wins. */
function secretOf(exchange: Exchange): string | null {
  const bearer = /^Bearer +(\S+) *$/i.exec(exchange.header('authorization') ?? '')?.[1];
  return bearer ?? exchange.header('x-api-key');
}

const keyHeaders: ReadonlySet<string> = new Set(['authorization', 'x-api-key']);

/** Removes the key from the request: engines must not see it. */
function withholdKeys({ request }: Exchange): void {
  const { headers, rawHeaders } = request;
  for (const name of keyHeaders) delete headers[name];
  for (let i = rawHeaders.length - 2; i >= 0; i -= 2) {
    if (keyHeaders.has(rawHeaders[i]!.toLowerCase())) rawHeaders.splice(i, 2);
  }
}

function opened({ role, expiresMs }: PageSessionEntry): PageSession {
  return { open: true, needsKey: true, mayAct: role === 'admin', expiresMs };
}

function tokenOf({ request }: Exchange): string | null {
  return readCookie(request.headers.cookie, cookieName(request.socket.localPort ?? 0));
}

function setCookie({ request, response }: Exchange, token: string | null): void {
  const { socket } = request;
  response.setHeader('set-cookie', sessionCookie(cookieName(socket.localPort ?? 0), token, 'encrypted' in socket));
}

function keyNeeded(): RequestError {
  return unauthorized('invalid_admin_key', 'the admin key is required: authorization: Bearer KEY');
}

function unauthorized(code: string, message: string): RequestError {
  return new RequestError(401, code, message);
}
