// The port between a gateway and its replicas: messages on named channels. Nothing is acknowledged or repeated.

/**
 * Channels of one cluster. `load`: who has booked what (src/cluster). `pins`: where sessions were placed. `limits`: use
 * of the keys. `ask`: questions to one replica.
 */
export type PeerChannel = 'load' | 'pins' | 'limits';

/** `connecting`: no server has been reached yet, or the connection is lost. `refused`: the server does not let us in. */
export type LinkState = 'connecting' | 'connected' | 'refused' | 'closed';

export interface LinkStatus {
  readonly state: LinkState;
  /** The server in use, without credentials; null: none. */
  readonly server: string | null;
  /** Why there is no connection, or what the server does not allow; null: nothing is wrong. */
  readonly reason: string | null;
  /** Connections made so far. */
  readonly connections: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Arrived faster than they were read, or larger than allowed, and dropped. */
  readonly droppedIn: number;
  /** Not sent: no connection, or the server did not take them. */
  readonly droppedOut: number;
}

export interface LinkListener {
  /** Must not throw, and must not keep `bytes`. */
  message(channel: PeerChannel, bytes: Uint8Array): void;
  /** Another replica asks this one. @returns the answer; null: none */
  asked(bytes: Uint8Array): Promise<Uint8Array | null> | Uint8Array | null;
  connected(): void;
  disconnected(): void;
}

export interface PeerLink {
  readonly status: LinkStatus;
  open(listener: LinkListener): void;
  /** Sends to all replicas. Without a connection the message is dropped and counted. */
  publish(channel: PeerChannel, bytes: Uint8Array): void;
  /** Asks one replica by its id. @returns null: no answer in time */
  ask(replica: string, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array | null>;
  /** Sends what is waiting, at most for a moment, then closes. */
  close(): Promise<void>;
}
