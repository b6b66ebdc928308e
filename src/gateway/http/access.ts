// Who may do what: clients by their keys, operators by the admin key or because they are on this machine.

import { RequestError } from '../../wire/openai-error.ts';
import { type ApiKey, ApiKeyring } from '../config/api-keys.ts';
import { type GatewayConfig, isLoopback } from '../config/config.ts';
import { SecretCheck } from '../config/secret-hash.ts';
import type { Exchange } from './exchange.ts';

export class Access {
  #keyring: ApiKeyring = new ApiKeyring([]);
  #admin: SecretCheck | null = null;

  /** @param adminKey its hash; null: there is none */
  configure(apiKeys: readonly ApiKey[], adminKey: string | null): void {
    this.#keyring = new ApiKeyring(apiKeys);
    this.#admin = adminKey === null ? null : new SecretCheck(adminKey);
  }

  /**
   * Lets a request to the OpenAI API in, and notes whose it is.
   * @throws RequestError 401 without a key that is known
   */
  admitClient(exchange: Exchange): void {
    if (this.#keyring.open) return;
    const secret = bearerOf(exchange);
    if (secret === null) throw unauthorized('invalid_api_key', 'an API key is needed: authorization: Bearer KEY');
    exchange.key = this.#keyring.find(secret);
    if (exchange.key === null) throw unauthorized('invalid_api_key', 'the API key is not known');
    withholdAuthorization(exchange);
  }

  /**
   * Lets a request to all other routes in.
   * @throws RequestError 401 without the admin key, 403 where none is set and the request is not from this machine
   */
  admitOperator(exchange: Exchange): void {
    if (this.#admin !== null) {
      const secret = bearerOf(exchange);
      if (secret !== null && this.#admin.accepts(secret)) return;
      throw unauthorized('invalid_admin_key', 'the admin key is needed: authorization: Bearer KEY');
    }
    if (isLocal(exchange)) return;
    throw new RequestError(
      403,
      'admin_only_local',
      'without an adminKey this is for requests from the same machine only',
    );
  }
}

/** What is open to whom, in words for the start of the log; `loud`: it is open to other machines without a key. */
export function describeAccess(
  { host, adminKey }: GatewayConfig,
  keyCount: number,
): readonly { readonly loud: boolean; readonly message: string }[] {
  const everyone = isLoopback(host) ? 'everyone on this machine' : 'EVERYONE WHO REACHES THE ADDRESS';
  return [
    keyCount === 0
      ? { loud: !isLoopback(host), message: `no API keys are set: ${everyone} may use every model` }
      : { loud: false, message: `the OpenAI API is open to ${keyCount} API keys` },
    { loud: !isLoopback(host), message: `/health and /ready are open to ${everyone}` },
    adminKey === null
      ? { loud: false, message: 'workers, loads, decisions and metrics: this machine only, without a key' }
      : { loud: false, message: 'workers, loads, decisions and metrics: with the admin key' },
  ];
}

function bearerOf(exchange: Exchange): string | null {
  return /^Bearer +(\S+) *$/i.exec(exchange.header('authorization') ?? '')?.[1] ?? null;
}

/** The key is for the gateway: no engine gets to see it. */
function withholdAuthorization({ request }: Exchange): void {
  const { rawHeaders } = request;
  delete request.headers.authorization;
  for (let i = rawHeaders.length - 2; i >= 0; i -= 2) {
    if (rawHeaders[i]!.toLowerCase() === 'authorization') rawHeaders.splice(i, 2);
  }
}

/**
 * A proxy on this machine makes every client look local, and so does a browser that shows a foreign page; both are
 * known by their headers.
 */
function isLocal({ request }: Exchange): boolean {
  const { headers, socket } = request;
  const carried = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'origin'].some((name) => headers[name] !== undefined);
  return !carried && isLoopback(socket.remoteAddress ?? '');
}

function unauthorized(code: string, message: string): RequestError {
  return new RequestError(401, code, message);
}
