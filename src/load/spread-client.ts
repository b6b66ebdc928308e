// Sends requests to several gateways in turn, as a load balancer does.

import { OpenAiClient } from './openai-client.ts';

/** What a workload is sent by. */
export type LoadClient = Pick<OpenAiClient, 'now' | 'send'>;

export class SpreadClient implements LoadClient {
  readonly #clients: readonly OpenAiClient[];

  /** @param origins at least one */
  constructor(origins: readonly string[]) {
    this.#clients = origins.map((origin) => new OpenAiClient(origin));
  }

  readonly now = (): number => performance.now();

  send(...[request, ...more]: Parameters<OpenAiClient['send']>): ReturnType<OpenAiClient['send']> {
    return this.#clients[request.index % this.#clients.length]!.send(request, ...more);
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
  }
}
