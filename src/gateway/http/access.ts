// Who may do what: clients by their keys, operators by theirs or because they are on this machine.

import { RequestError } from '../../wire/openai-error.ts';
import { type ApiKey, ApiKeyring } from '../config/api-keys.ts';
import { type GatewayConfig, isLoopback } from '../config/config.ts';
import { SecretCheck } from '../config/secret-hash.ts';
import type { Exchange } from '../exchange/exchange.ts';

/** These change nothing, whatever the route. */
const views: ReadonlySet<string> = new Set(['GET', 'HEAD']);

export interface OperatorKeys {
  /** Hash of the key for all that operators may do; null: there is none. */
  readonly adminKey: string | null;
  /** Hash of the key that opens what changes nothing; null: there is none. */
  readonly viewKey: string | null;
  /** What the operators' listener is bound to. */
  readonly adminHost: string;
}

export class Access {
  #keyring: ApiKeyring = new ApiKeyring([]);
  #admin: SecretCheck | null = null;
  #view: SecretCheck | null = null;
  #adminHost = '';

  configure(apiKeys: readonly ApiKey[], { adminKey, viewKey, adminHost }: OperatorKeys): void {
    this.#keyring = new ApiKeyring(apiKeys);
    this.#admin = adminKey === null ? null : new SecretCheck(adminKey);
    this.#view = viewKey === null ? null : new SecretCheck(viewKey);
    this.#adminHost = adminHost;
  }

  /** Clients do. */
  get needsKey(): boolean {
    return !this.#keyring.open;
  }

  /**
   * Lets a request to the OpenAI API in, and notes whose it is.
   * @throws RequestError 401 without a key that is known
   */
  admitClient(exchange: Exchange): void {
    if (this.#keyring.open) return;
    const secret = secretOf(exchange);
    if (secret === null)
      throw unauthorized('invalid_api_key', 'an API key is needed: authorization: Bearer KEY, or x-api-key: KEY');
    exchange.key = this.#keyring.find(secret);
    if (exchange.key === null) throw unauthorized('invalid_api_key', 'the API key is not known');
    withholdKeys(exchange);
  }

  /**
   * Lets an operator's request in that came to the clients' port: never without a key.
   * @throws RequestError 401 without the right key, 403 if none is set or it does not suffice
   */
  admitOperatorAmongClients(exchange: Exchange): void {
    if (this.#admitByKey(exchange)) return;
    if (this.#admin === null && this.#view === null) {
      throw new RequestError(
        403,
        'operators_elsewhere',
        'without an adminKey or a viewKey this is for the port of operators only (adminPort), not for that of clients',
      );
    }
    throw keyNeeded();
  }

  /**
   * Lets a request to the operators' listener in: with a key, or, where no adminKey is set, from this machine.
   * @throws RequestError 401, 403
   */
  admitOperator(exchange: Exchange): void {
    if (this.#admitByKey(exchange)) return;
    if (this.#admin !== null) throw keyNeeded();
    const reason = whyForeign(exchange, this.#adminHost);
    if (reason !== null) throw new RequestError(403, 'admin_only_local', `without an adminKey ${reason}`);
  }

  /** @returns false if it bears none of the operators' keys */
  #admitByKey(exchange: Exchange): boolean {
    const secret = secretOf(exchange);
    if (secret === null) return false;
    if (this.#admin?.accepts(secret) === true) return true;
    if (this.#view?.accepts(secret) !== true) return false;
    if (views.has(exchange.request.method ?? 'GET')) return true;
    throw new RequestError(403, 'view_only', 'the view key opens what is read with GET; this needs the admin key');
  }
}

/** What is open to whom, in words for the start of the log; `loud`: it is open to other machines without a key. */
export function describeAccess(
  { host, adminKey, viewKey }: GatewayConfig,
  keyCount: number,
  adminUrl: string | null,
): readonly { readonly loud: boolean; readonly message: string }[] {
  const everyone = isLoopback(host) ? 'everyone on this machine' : 'EVERYONE WHO REACHES THE ADDRESS';
  const quiet = (message: string) => ({ loud: false, message });
  const subject = 'workers, loads, decisions and metrics';
  const at = adminUrl === null ? '' : ` at ${adminUrl}`;
  return [
    keyCount === 0
      ? { loud: !isLoopback(host), message: `no API keys are set: ${everyone} may use every model` }
      : quiet(`the OpenAI API is open to ${keyCount} API keys`),
    { loud: !isLoopback(host), message: `/health and /ready are open to ${everyone}` },
    ...(adminKey !== null ? [quiet(`${subject}: with the admin key${at && `, also${at}`}`)] : []),
    ...(adminKey === null && adminUrl !== null ? [quiet(`${subject}: this machine only, without a key,${at}`)] : []),
    ...(adminKey === null && adminUrl === null && viewKey === null ? [quiet(`${subject}: open to nobody`)] : []),
    ...(viewKey !== null ? [quiet(`${subject}: with the view key to look at`)] : []),
  ];
}

/** `x-api-key` is how Anthropic's clients, and some proxies, send it; a bearer's token comes first. */
function secretOf(exchange: Exchange): string | null {
  const bearer = /^Bearer +(\S+) *$/i.exec(exchange.header('authorization') ?? '')?.[1];
  return bearer ?? exchange.header('x-api-key');
}

const keyHeaders: ReadonlySet<string> = new Set(['authorization', 'x-api-key']);

/** The key is for the gateway: no engine gets to see it. */
function withholdKeys({ request }: Exchange): void {
  const { headers, rawHeaders } = request;
  for (const name of keyHeaders) delete headers[name];
  for (let i = rawHeaders.length - 2; i >= 0; i -= 2) {
    if (keyHeaders.has(rawHeaders[i]!.toLowerCase())) rawHeaders.splice(i, 2);
  }
}

/**
 * A proxy on this machine makes every client look local, and so does a browser that shows a foreign page, which may
 * also have had its own name resolved to this machine. Both are known by their headers.
 * @returns null if it comes from this machine and was meant for it
 */
function whyForeign({ request }: Exchange, adminHost: string): string | null {
  const { headers, socket } = request;
  if (!isLoopback(socket.remoteAddress ?? '')) return 'this is for requests from the same machine only';
  const carried = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'].find((name) => headers[name] !== undefined);
  if (carried !== undefined) return `no proxy may carry requests here (${carried})`;
  const name = hostName(headers.host ?? '');
  if (name === null || !(isLoopback(name) || name === adminHost.toLowerCase())) {
    return 'the Host header must be localhost, a loopback address, or adminHost';
  }
  const { origin } = headers;
  const site = headers['sec-fetch-site'] ?? 'none';
  if (origin !== undefined && origin !== `http://${headers.host}` && origin !== `https://${headers.host}`) {
    return 'no page of another origin may send requests here';
  }
  return site === 'none' || site === 'same-origin' ? null : 'no page of another site may send requests here';
}

/** Without port and brackets, in lower case; null: it is none. */
function hostName(host: string): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::\d+)?$/i.exec(host);
  return (match?.[1] ?? match?.[2])?.toLowerCase() ?? null;
}

function keyNeeded(): RequestError {
  return unauthorized('invalid_admin_key', 'the admin key is needed: authorization: Bearer KEY');
}

function unauthorized(code: string, message: string): RequestError {
  return new RequestError(401, code, message);
}
