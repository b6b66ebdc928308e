// Requests that no HTTP client would send.

import { connect } from 'node:net';

/** Sends the bytes. @returns everything received until the gateway closes the connection */
export function sendBytes({ url }: { readonly url: string }, bytes: string): Promise<string> {
  const { port, hostname } = new URL(url);
  return new Promise((resolve) => {
    let received = '';
    const socket = connect(Number(port), hostname, () => socket.write(bytes, 'latin1'));
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text;
    });
    socket.on('error', () => resolve(received)).on('close', () => resolve(received));
  });
}
