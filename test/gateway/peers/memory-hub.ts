// Links between replicas in one process: messages are delivered later in the same turn, or lost as a test wants.

import type { LinkListener, LinkStatus, PeerChannel, PeerLink } from '../../../src/gateway/peers/peer-link.ts';

export class MemoryHub {
  readonly links = new Map<string, MemoryLink>();
  /** Whether a message is delivered. */
  passes: (channel: PeerChannel | 'ask', from: string, to: string) => boolean = () => true;

  link(replica: string): MemoryLink {
    const link = new MemoryLink(this, replica);
    this.links.set(replica, link);
    return link;
  }
}

export class MemoryLink implements PeerLink {
  readonly #hub: MemoryHub;
  readonly #replica: string;
  listener: LinkListener | null = null;
  isUp = true;
  readonly sent: { readonly channel: PeerChannel; readonly bytes: Uint8Array }[] = [];

  constructor(hub: MemoryHub, replica: string) {
    this.#hub = hub;
    this.#replica = replica;
  }

  get status(): LinkStatus {
    const none = { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0, droppedIn: 0, droppedOut: 0 };
    return { state: this.isUp ? 'connected' : 'connecting', server: null, reason: null, connections: 1, ...none };
  }

  open(listener: LinkListener): void {
    this.listener = listener;
    if (this.isUp) listener.connected();
  }

  publish(channel: PeerChannel, bytes: Uint8Array): void {
    this.sent.push({ channel, bytes });
    if (!this.isUp) return;
    for (const [name, other] of this.#hub.links) {
      if (other === this || !other.isUp || !this.#hub.passes(channel, this.#replica, name)) continue;
      queueMicrotask(() => other.listener?.message(channel, bytes));
    }
  }

  async ask(replica: string, bytes: Uint8Array): Promise<Uint8Array | null> {
    const other = this.#hub.links.get(replica);
    if (other === undefined || !other.isUp || !this.#hub.passes('ask', this.#replica, replica)) return null;
    return (await other.listener?.asked(bytes)) ?? null;
  }

  close(): Promise<void> {
    this.#hub.links.delete(this.#replica);
    return Promise.resolve();
  }
}
