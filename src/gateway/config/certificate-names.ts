// Names of clients' certificates, as `KIND:NAME`: `cn:alice`, `dns:batch.example.org`, `uri:spiffe://prod/batch`.

import type { X509Certificate } from 'node:crypto';

/** Further names of a certificate are not read. */
const namesMax = 64;
const form = /^(?:cn|dns|uri|email):[^\p{Cc}\s][^\p{Cc}]{0,255}$/u;

/** As Node writes them. */
const kinds: ReadonlyMap<string, string> = new Map([
  ['DNS', 'dns'],
  ['URI', 'uri'],
  ['email', 'email'],
]);

export const certificateNameRule = 'must be cn:NAME, dns:NAME, uri:NAME or email:NAME, as in the certificate';

/** The name in the form in which names are compared; null if it is malformed. */
export function certificateName(value: unknown): string | null {
  return typeof value === 'string' && form.test(value) ? compared(value) : null;
}

/**
 * All names of a certificate that can be compared. A common name counts only if it is the only one: with two, readers
 * disagree about which is meant.
 */
export function certificateNames(certificate: X509Certificate): string[] {
  const common = (certificate.toLegacyObject().subject as { CN?: unknown } | undefined)?.CN;
  const names = typeof common === 'string' ? [`cn:${common}`] : [];
  return [...names, ...alternativeNames(certificate.subjectAltName ?? '')].slice(0, namesMax);
}

/**
 * Node separates the names by `, ` and writes those with special characters as JSON, so that no name can look like two.
 * @param text `subjectAltName` of Node; what follows a malformed part is not read
 */
export function alternativeNames(text: string): string[] {
  const names: string[] = [];
  const part = /([^:",]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y;
  for (;;) {
    const match = part.exec(text);
    if (match === null) return names;
    const kind = kinds.get(match[1]!);
    const value = plain(match[2]!);
    if (kind !== undefined && value !== null) names.push(compared(`${kind}:${value}`));
  }
}

function plain(value: string): string | null {
  if (!value.startsWith('"')) return value;
  try {
    return JSON.parse(value) as string;
  } catch {
    return null;
  }
}

/** Host names have no case; of other names it counts. */
function compared(name: string): string {
  return name.startsWith('dns:') ? name.toLowerCase() : name;
}
