// Advice for operators about an engine that can't be reached, derived from the error.

import type { ProbeError } from '../engines/engine-probe.ts';

const untrusted: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_UNTRUSTED',
]);

const nameCertificate =
  'name one with worker-cert-file and worker-key-file, or cert-file=PATH and key-file=PATH of this worker';

/** Alerts by which an engine refuses our certificate, or asks for one. */
const refusedCertificate: ReadonlySet<string> = new Set([
  'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
  'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
  'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE',
  'ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
  'ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED',
  'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED',
  // What OpenSSL sends before TLS 1.3 to a client without a certificate.
  'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
]);

/** Null: the error needs no advice. @param url as configured */
export function unreachedAdvice(url: string, { status, code }: ProbeError): string | null {
  return status === 0 ? connectionAdvice(new URL(url), code ?? '') : answerAdvice(url, status);
}

function connectionAdvice({ protocol, host, hostname }: URL, code: string): string | null {
  const isTls = protocol === 'https:';
  switch (code) {
    case 'ECONNREFUSED':
      return `nothing listens at ${host}: is the engine started, and is the port right?`;
    case 'ENOTFOUND':
      return `there is no host ${hostname}: is its name right?`;
    case 'EAI_AGAIN':
      return `the name service does not answer for ${hostname}`;
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
      return `there is no route to ${host} from here: is the address right?`;
    case 'ETIMEDOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return `${host} does not accept the connection: the address is wrong, or a firewall blocks it`;
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return 'its certificate is for another name: set that name with server-name=NAME';
    case 'CERT_HAS_EXPIRED':
      return 'its certificate has expired';
  }
  if (untrusted.has(code)) return 'its certificate is not trusted: name its authority with worker-ca-file';
  if (refusedCertificate.has(code)) {
    return `it wants a certificate of an authority that it trusts: ${nameCertificate}`;
  }
  if (isTls && (code === 'EPROTO' || code.startsWith('ERR_SSL_'))) {
    return `what listens at ${host} does not speak TLS: write http:// instead of https://`;
  }
  if (code === 'HTTPParserError' || code.startsWith('HPE_')) {
    return `what listens at ${host} does not speak HTTP: use another port, or https:// if it speaks TLS`;
  }
  if (code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE') {
    // With TLS 1.3 the alert comes after the handshake, and is lost when the connection closes.
    const or = isTls ? `; or it wants a certificate: ${nameCertificate}` : ', or https:// if it speaks TLS';
    return `${host} closes the connection without an answer: use another port${or}`;
  }
  return null;
}

function answerAdvice(url: string, status: number): string | null {
  if (status === 404 && url.endsWith('/v1')) return `leave "/v1" out of the address: ${url.slice(0, -'/v1'.length)}`;
  if (status === 404) return 'another service listens there, or the path in the address is wrong';
  if (status === 401 || status === 403) return 'it requires a key: set api-key=KEY';
  if (status === 400 && url.startsWith('http:')) return 'it may expect https://';
  if (status >= 300 && status <= 399) return 'it redirects: use the address that it redirects to';
  if (status >= 200 && status <= 299) return 'another service listens there';
  return null;
}
