// Access control: clients by API key, operators by their keys or because they are on this machine.

import { RequestError } from '../../wire/openai-error.ts';
import { type ApiKey, ApiKeyring } from '../config/api-keys.ts';
import { type GatewayConfig, isLoopback } from '../config/config.ts';
import { SecretCheck } from '../config/secret-hash.ts';
import type { Exchange } from '../exchange/exchange.ts';

/** Methods that change nothing on any route. */
const views: ReadonlySet<string> = new Set(['GET', 'HEAD']);

export interface OperatorKeys {
  /** Hash of the key for all operator routes; null if there is none. */
  readonly adminKey: string | null;
  /** Hash of the key for GET only; null if there is none. */
  readonly viewKey: string | null;
  /** Address of the operators' listener. */
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

  /** Whether clients need an API key. */
  get needsKey(): boolean {
    return !this.#keyring.open;
  }

  /** Authorizes a request to the OpenAI API and records its key. @throws RequestError 401 without a known key */
  admitClient(exchange: Exchange): void {
    if (this.#keyring.open) return;
    const secret = secretOf(exchange);
    if (secret === null)
      throw unauthorized('invalid_api_key', 'an API key is required: authorization: Bearer KEY, or x-api-key: KEY');
    exchange.key = this.#keyring.find(secret);
    if (exchange.key === null) throw unauthorized('invalid_api_key', 'the API key is unknown');
    withholdKeys(exchange);
  }

  /**
   * Authorizes an operator's request at the clients' port, which always needs a key.
   * @throws RequestError 401 without the right key; 403 if no operator key is set, or the key does not suffice
   */
  admitOperatorAmongClients(exchange: Exchange): void {
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
   * Authorizes a request at the operators' listener: by key, or from this machine if no adminKey is set.
   * @throws RequestError 401, 403
   */
  admitOperator(exchange: Exchange): void {
    if (this.#admitByKey(exchange)) return;
    if (this.#admin !== null) throw keyNeeded();
    const reason = whyForeign(exchange, this.#adminHost);
    if (reason !== null) throw new RequestError(403, 'admin_only_local', `without an adminKey ${reason}`);
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

/** Describes access for the start of the log; `loud` if other machines have access without a key. */
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
    ...(viewKey !== null ? [quiet(`${subject}: read-only with the view key`)] : []),
  ];
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

/**
 * A proxy on this machine makes every client look local. So does a browser that shows a foreign page, whose host name
 * may even resolve to this machine. The headers reveal both.
 * @returns null if the request comes from this machine and was meant for it
 */
function whyForeign({ request }: Exchange, adminHost: string): string | null {
  const { headers, socket } = request;
  if (!isLoopback(socket.remoteAddress ?? '')) return 'only requests from the same machine are allowed';
  const carried = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'].find((name) => headers[name] !== undefined);
  if (carried !== undefined) return `requests through a proxy are not allowed (header ${carried})`;
  const name = hostName(headers.host ?? '');
  if (name === null || !(isLoopback(name) || name === adminHost.toLowerCase())) {
    return 'the Host header must be localhost, a loopback address, or adminHost';
  }
  const { origin } = headers;
  const site = headers['sec-fetch-site'] ?? 'none';
  if (origin !== undefined && origin !== `http://${headers.host}` && origin !== `https://${headers.host}`) {
    return 'requests from pages of another origin are not allowed';
  }
  return site === 'none' || site === 'same-origin' ? null : 'requests from pages of another site are not allowed';
}

/** Host name without port and brackets, in lower case; null if malformed. */
function hostName(host: string): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::\d+)?$/i.exec(host);
  return (match?.[1] ?? match?.[2])?.toLowerCase() ?? null;
}

function keyNeeded(): RequestError {
  return unauthorized('invalid_admin_key', 'the admin key is required: authorization: Bearer KEY');
}

function unauthorized(code: string, message: string): RequestError {
  return new RequestError(401, code, message);
}
