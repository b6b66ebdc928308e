// Passes whole requests to the owner's own listener: what a front does not serve by itself, the owner does.

import { Agent, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { RequestError } from '../../wire/openai-error.ts';
import { replyError } from '../exchange/http-reply.ts';
import { hasBody } from '../exchange/request-body.ts';
import { provenHeader, provenValue } from '../http/client-certificates.ts';

/** Kept by the two connections themselves, or no longer true once the body has been read. */
const ofTheConnection: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'expect', 'proxy-connection'],
  // Trailers are not passed on.
  ...['te', 'trailer'],
]);
const ofTheBody: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding']);
const ofTheAnswer: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding']);

/** Time for a client that has been refused to end its body. */
const lingerMsMax = 1000;

export class OwnerDoor {
  readonly #socketPath: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /**
   * Resolves when the answer has ended, however it did.
   * @param rawHeaders as the client sent them
   * @param body as read; null: it is still to be read
   * @param proven name in the client's certificate that counts, or `''`; null: it has shown none
   */
  pass(
    request: IncomingMessage,
    response: ServerResponse,
    rawHeaders: readonly string[],
    body: Buffer | null,
    proven: string | null,
  ): Promise<void> {
    return new Promise((resolve) => {
      const headers = without(
        rawHeaders,
        (name) => name === provenHeader || ofTheConnection.has(name) || (body !== null && ofTheBody.has(name)),
      );
      if (body !== null) headers.push('content-length', String(body.length));
      if (proven !== null) headers.push(provenHeader, provenValue(proven));
      const { method = 'GET', url = '/' } = request;
      const passed = httpRequest({ socketPath: this.#socketPath, agent: this.#agent, method, path: url, headers });
      response.once('close', () => {
        if (!response.writableFinished) passed.destroy();
        resolve();
      });
      passed.on('response', (answer) => {
        const { statusCode = 502, statusMessage = '', rawHeaders: answered } = answer;
        response.writeHead(
          statusCode,
          statusMessage,
          without(answered, (name) => ofTheAnswer.has(name)),
        );
        if (answer.headers['content-length'] === undefined) response.flushHeaders();
        answer.on('aborted', () => response.destroy());
        answer.on('error', () => response.destroy());
        answer.pipe(response, { end: false });
        answer.on('end', () => whenRead(request, () => response.end()));
      });
      passed.on('error', () => {
        if (response.headersSent) response.destroy();
        else if (!response.destroyed) replyError(response, unreached());
      });
      if (body !== null) passed.end(body);
      else if (hasBody(request)) request.on('error', () => passed.destroy()).pipe(passed);
      else {
        // Without a length in the headers, what came after them would be the owner's next request.
        request.resume();
        passed.end();
      }
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function without(rawHeaders: readonly string[], drops: (name: string) => boolean): string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (!drops(rawHeaders[i]!.toLowerCase())) kept.push(rawHeaders[i]!, rawHeaders[i + 1]!);
  }
  return kept;
}

function unreached(): RequestError {
  return new RequestError(502, 'gateway_broken_off', 'the gateway broke off the request');
}

/** A request may be answered before its end, as when it is refused: closing then would lose the answer. */
function whenRead(request: IncomingMessage, end: () => void): void {
  if (request.complete) {
    end();
    return;
  }
  const over = (): void => {
    clearTimeout(timer);
    request.off('end', over).off('close', over);
    end();
    if (!request.complete) request.destroy();
  };
  const timer = setTimeout(over, lingerMsMax);
  request.on('end', over).on('close', over);
}
