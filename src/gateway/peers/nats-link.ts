// The link between replicas over NATS. It reconnects for ever, and never holds more than a bounded number of bytes.

import type { Msg, NatsConnection, Status } from '@nats-io/transport-node';
import type { Logger } from 'pino';
import { Random } from '../../core/index.ts';
import { InboundQueue } from './inbound-queue.ts';
import { accessOptions, type NatsAccess } from './nats-access.ts';
import type { LinkListener, LinkState, LinkStatus, PeerChannel, PeerLink } from './peer-link.ts';

/** The largest message of a replica; NATS's own default. Larger ones are dropped unread. */
export const messageBytesMax = 1_048_576;
/** Bytes given to the connection that the server has not confirmed; beyond it, messages are dropped. */
const unconfirmedBytesMax = 8_388_608;
/** Questions of others under way; more are not answered. */
const askedMax = 16;

const connectMsMax = 2000;
/** A server silent for two of them is given up. */
const pingMs = 1000;
const pingsMax = 2;
const retryMsMin = 50;
const retryMsMax = 500;
/** A connection that ends sooner was not of use. */
const steadyMs = 5000;
/** Such connections in a row after which the log says so, instead of telling of each. */
const shortLivedToldMin = 3;
/** The pause before a connection that is likely to end at once. */
const shortLivedRetryMsMax = 5000;
/** After the server has refused us: this is rarely cured by asking again. */
const refusedRetryMs = 15_000;
const closeMsMax = 500;

const channels: readonly PeerChannel[] = ['load', 'pins', 'limits'];

type Inbound = { readonly channel: PeerChannel | null; readonly message: Msg };

export interface NatsLinkOptions {
  readonly access: NatsAccess;
  /** Name of the set of replicas; checked by the settings, since it becomes part of subjects. */
  readonly cluster: string;
  /** This replica's id: letters and digits. */
  readonly replica: string;
  readonly log: Logger;
}

export class NatsLink implements PeerLink {
  readonly #options: NatsLinkOptions;
  readonly #prefix: string;
  readonly #inbound: InboundQueue<Inbound>;
  #listener: LinkListener | null = null;
  #connection: NatsConnection | null = null;
  #state: LinkState = 'connecting';
  #reason: string | null = null;
  #retryMs = retryMsMin;
  #timer: NodeJS.Timeout | undefined;
  /** Until the connection has proved to be steady. */
  #proving: NodeJS.Timeout | undefined;
  /** Connections in a row that have not proved to be steady, the present one included. */
  #shortLived = 0;
  #told: string | null = null;
  #connections = 0;
  #messagesIn = 0;
  #messagesOut = 0;
  #bytesIn = 0;
  #bytesOut = 0;
  #oversized = 0;
  #droppedOut = 0;
  #unconfirmedBytes = 0;
  #isConfirming = false;
  #asked = 0;
  readonly #random: Random;

  constructor(options: NatsLinkOptions) {
    this.#options = options;
    this.#random = new Random(Number.parseInt(options.replica.slice(-8), 16));
    this.#prefix = `kvoyant.${options.cluster}`;
    this.#inbound = new InboundQueue(
      (inbound) => this.#take(inbound),
      () => performance.now(),
    );
  }

  get status(): LinkStatus {
    return {
      state: this.#state,
      server: this.#connection?.getServer() ?? null,
      reason: this.#reason,
      connections: this.#connections,
      messagesIn: this.#messagesIn,
      messagesOut: this.#messagesOut,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      droppedIn: this.#inbound.dropped + this.#oversized,
      droppedOut: this.#droppedOut,
    };
  }

  open(listener: LinkListener): void {
    this.#listener = listener;
    void this.#connect();
  }

  publish(channel: PeerChannel, bytes: Uint8Array): void {
    const connection = this.#connection;
    if (connection === null || bytes.length > messageBytesMax || this.#unconfirmedBytes > unconfirmedBytesMax) {
      this.#droppedOut += 1;
      return;
    }
    try {
      connection.publish(`${this.#prefix}.${channel}`, bytes);
      this.#messagesOut += 1;
      this.#bytesOut += bytes.length;
      this.#unconfirmedBytes += bytes.length;
      if (this.#unconfirmedBytes > unconfirmedBytesMax / 16) this.#confirm(connection);
    } catch {
      this.#droppedOut += 1;
    }
  }

  async ask(replica: string, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array | null> {
    const connection = this.#connection;
    if (connection === null || !/^\w{1,64}$/.test(replica)) return null;
    this.#messagesOut += 1;
    this.#bytesOut += bytes.length;
    try {
      const { data } = await connection.request(`${this.#prefix}.ask.${replica}`, bytes, { timeout: timeoutMs });
      this.#messagesIn += 1;
      this.#bytesIn += data.length;
      return data;
    } catch {
      // No such replica, no answer in time, or the connection is lost: the caller goes on without.
      return null;
    }
  }

  async close(): Promise<void> {
    const connection = this.#connection;
    this.#state = 'closed';
    this.#connection = null;
    clearTimeout(this.#timer);
    clearTimeout(this.#proving);
    this.#inbound.clear();
    if (connection === null) return;
    const late = new Promise<void>((resolve) => {
      setTimeout(resolve, closeMsMax).unref();
    });
    await Promise.race([connection.flush().catch(() => undefined), late]);
    await Promise.race([connection.close().catch(() => undefined), late]);
  }

  async #connect(): Promise<void> {
    let connection: NatsConnection;
    try {
      // Loaded only here: a gateway without replicas does not pay for it.
      const nats = await import('@nats-io/transport-node');
      connection = await nats.connect({
        ...(await accessOptions(nats, this.#options.access)),
        name: `kvoyant ${this.#options.cluster} ${this.#options.replica}`,
        inboxPrefix: `${this.#prefix}.answer.${this.#options.replica}`,
        // Reconnecting is done here, so that nothing is buffered while there is no connection.
        reconnect: false,
        ignoreClusterUpdates: true,
        noAsyncTraces: true,
        noEcho: true,
        timeout: connectMsMax,
        pingInterval: pingMs,
        maxPingOut: pingsMax,
      });
    } catch (error) {
      this.#failed(error);
      return;
    }
    try {
      this.#connected(connection);
    } catch (error) {
      // It has ended already.
      this.#lost(connection, error);
      await connection.close().catch(() => undefined);
    }
  }

  #connected(connection: NatsConnection): void {
    void connection.closed().then((error) => this.#lost(connection, error));
    if (this.#isClosed) {
      void connection.close();
      return;
    }
    this.#connection = connection;
    this.#connections += 1;
    this.#state = 'connected';
    this.#reason = null;
    this.#unconfirmedBytes = 0;
    this.#isConfirming = false;
    this.#retryMs = retryMsMin;
    this.#shortLived += 1;
    this.#proving = setTimeout(() => this.#proved(connection), steadyMs).unref();
    void this.#follow(connection);
    for (const channel of channels) this.#subscribe(connection, `${this.#prefix}.${channel}`, channel);
    this.#subscribe(connection, `${this.#prefix}.ask.${this.#options.replica}`, null);
    if (this.#shortLived < shortLivedToldMin) this.#tellConnected(connection);
    this.#listener!.connected();
  }

  #tellConnected(connection: NatsConnection): void {
    this.#told = null;
    const { cluster } = this.#options;
    this.#options.log.info({ server: connection.getServer(), cluster }, 'connected to NATS: sharing with replicas');
  }

  #proved(connection: NatsConnection): void {
    const toldOtherwise = this.#shortLived >= shortLivedToldMin;
    this.#shortLived = 0;
    if (toldOtherwise) this.#tellConnected(connection);
  }

  #subscribe(connection: NatsConnection, subject: string, channel: PeerChannel | null): void {
    connection.subscribe(subject, {
      callback: (error, message) => {
        // An error is told by the connection's status as well.
        if (error === null && connection === this.#connection) this.#heard({ channel, message });
      },
    });
  }

  #heard(inbound: Inbound): void {
    const { length } = inbound.message.data;
    this.#messagesIn += 1;
    this.#bytesIn += length;
    if (length > messageBytesMax) this.#oversized += 1;
    else this.#inbound.push(inbound, length);
  }

  #take({ channel, message }: Inbound): void {
    try {
      if (channel === null) void this.#answer(message);
      else this.#listener!.message(channel, message.data);
    } catch (error) {
      this.#options.log.error({ err: error }, 'message of a replica not applied: internal error');
    }
  }

  async #answer(message: Msg): Promise<void> {
    if (message.reply === undefined || message.reply === '' || this.#asked >= askedMax) return;
    this.#asked += 1;
    try {
      const answer = await this.#listener!.asked(message.data);
      if (answer === null || this.#connection === null) return;
      this.#messagesOut += 1;
      this.#bytesOut += answer.length;
      message.respond(answer);
    } catch (error) {
      this.#options.log.error({ err: error }, 'question of a replica not answered: internal error');
    } finally {
      this.#asked -= 1;
    }
  }

  /** Learns how much the server has taken. */
  #confirm(connection: NatsConnection): void {
    if (this.#isConfirming) return;
    this.#isConfirming = true;
    const bytes = this.#unconfirmedBytes;
    connection.flush().then(
      () => {
        if (connection !== this.#connection) return;
        this.#unconfirmedBytes -= bytes;
        this.#isConfirming = false;
      },
      () => undefined,
    );
  }

  /** Reports what the server does not allow on a connection that stays. */
  async #follow(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) this.#noteStatus(status);
  }

  #noteStatus(status: Status): void {
    if (status.type !== 'error' || status.error.name !== 'PermissionViolationError') return;
    this.#reason = status.error.message;
    this.#tell(`NATS does not allow it: ${status.error.message}`);
  }

  #lost(connection: NatsConnection, error: unknown): void {
    if (connection !== this.#connection) return;
    this.#connection = null;
    clearTimeout(this.#proving);
    this.#inbound.clear();
    this.#listener!.disconnected();
    this.#failed(error ?? new Error('the connection was closed'));
  }

  #failed(error: unknown): void {
    if (this.#isClosed) return;
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    const isRefused = name === 'AuthorizationError' || name === 'UserAuthenticationExpiredError';
    this.#state = isRefused ? 'refused' : 'connecting';
    this.#reason = isRefused ? `NATS refuses the credentials: ${message}` : message;
    const isShortLived = this.#shortLived >= shortLivedToldMin;
    const what = isRefused
      ? 'NATS refuses the credentials'
      : isShortLived
        ? 'each connection to NATS ends at once'
        : 'no connection to NATS';
    this.#tell(`${what}: serving goes on without the other replicas`);
    const pauseMs = isShortLived ? Math.min(retryMsMin * 2 ** this.#shortLived, shortLivedRetryMsMax) : 0;
    const retryMs = isRefused ? refusedRetryMs : Math.max(pauseMs, this.#retryMs);
    this.#retryMs = Math.min(2 * this.#retryMs, retryMsMax);
    clearTimeout(this.#timer);
    // Replicas that lost the same server must not come back in one moment.
    this.#timer = setTimeout(() => void this.#connect(), retryMs * (0.75 + this.#random.below(512) / 1024));
    this.#timer.unref();
  }

  /** One line for each kind of failure until it is over: an attempt every half second must not fill the log. */
  #tell(what: string): void {
    if (this.#told === what) return;
    this.#told = what;
    this.#options.log.warn({ servers: this.#options.access.nats, reason: this.#reason }, what);
  }

  get #isClosed(): boolean {
    return this.#state === 'closed';
  }
}
