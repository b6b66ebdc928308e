// A client of the page's stream: reads its events one by one.

import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { StreamEvents } from '../../src/gateway/page/page-data.ts';

interface StreamEvent {
  readonly name: string;
  readonly data: unknown;
}

export class PageStream {
  readonly #response: IncomingMessage;
  readonly #events: StreamEvent[] = [];
  #text = '';
  #ended = false;
  #wake: () => void = () => undefined;

  private constructor(response: IncomingMessage) {
    this.#response = response;
    response.setEncoding('utf8');
    response.on('data', (text: string) => this.#read(text));
    for (const end of ['end', 'close', 'error']) {
      response.on(end, () => {
        this.#ended = true;
        this.#wake();
      });
    }
  }

  /** @throws Error with the status if it is not 200 */
  static open(url: string, headers: Readonly<Record<string, string>> = {}): Promise<PageStream> {
    return new Promise((resolve, reject) => {
      const request = httpRequest(url, { headers, agent: false });
      request.on('error', reject);
      request.on('response', (response) => {
        if (response.statusCode === 200) resolve(new PageStream(response));
        else reject(new Error(`status ${response.statusCode}`));
      });
      request.end();
    });
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Takes the next event of this name; those before it are dropped. */
  async next<Name extends keyof StreamEvents>(name: Name, timeoutMs = 10_000): Promise<StreamEvents[Name]> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const event = this.#events.shift();
      if (event?.name === name) return event.data as StreamEvents[Name];
      if (event !== undefined) continue;
      const leftMs = deadlineMs - performance.now();
      if (this.#ended || leftMs <= 0)
        throw new Error(`the stream ${this.#ended ? 'ended' : 'sent nothing'} before ${name}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Reads events of this name until one satisfies the condition. */
  async until<Name extends keyof StreamEvents>(
    name: Name,
    holds: (data: StreamEvents[Name]) => boolean,
  ): Promise<void> {
    while (!holds(await this.next(name)));
  }

  close(): void {
    this.#response.destroy();
  }

  #read(text: string): void {
    this.#text += text;
    const blocks = this.#text.split('\n\n');
    this.#text = blocks.pop()!;
    for (const block of blocks) {
      const name = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (name !== undefined && data !== undefined) this.#events.push({ name, data: JSON.parse(data) });
    }
    this.#wake();
  }
}
