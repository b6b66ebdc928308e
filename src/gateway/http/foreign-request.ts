// Why a request is foreign: from another machine, through a proxy, or from a page of another site.

import { isLoopback, unixPathOf } from '../config/listen-address.ts';
import type { Exchange } from '../exchange/exchange.ts';

/**
 * A proxy on this machine makes every client look local. So does a browser that shows a foreign page, whose host name
 * may even resolve to this machine. The headers reveal both.
 * @returns null if the request comes from this machine and was meant for it
 */
export function whyForeign(exchange: Exchange, adminHost: string): string | null {
  const elsewhere = whyElsewhere(exchange, adminHost);
  return elsewhere ?? whyOtherSite(exchange);
}

/** @returns null unless a browser says that it shows a page from elsewhere */
export function whyOtherSite({ request: { headers } }: Exchange): string | null {
  const { origin } = headers;
  const site = headers['sec-fetch-site'] ?? 'none';
  if (origin !== undefined && origin !== `http://${headers.host}` && origin !== `https://${headers.host}`) {
    return 'requests from pages of another origin are not allowed';
  }
  return site === 'none' || site === 'same-origin' ? null : 'requests from pages of another site are not allowed';
}

/** @returns null if the request comes from this machine without a proxy, and names it */
export function whyElsewhere({ request }: Exchange, adminHost: string): string | null {
  const { headers, socket } = request;
  if (unixPathOf(adminHost) === null && !isLoopback(socket.remoteAddress ?? ''))
    return 'only requests from the same machine are allowed';
  const carried = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'].find((name) => headers[name] !== undefined);
  if (carried !== undefined) return `requests through a proxy are not allowed (header ${carried})`;
  const name = hostName(headers.host ?? '');
  if (name === null || !(isLoopback(name) || name === adminHost.toLowerCase())) {
    return 'the Host header must be localhost, a loopback address, or adminHost';
  }
  return null;
}

/** Host name without port and brackets, in lower case; null if malformed. */
function hostName(host: string): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::\d+)?$/i.exec(host);
  return (match?.[1] ?? match?.[2])?.toLowerCase() ?? null;
}
