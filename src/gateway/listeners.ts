// The listeners of a gateway: clients (with `threads`, through fronts), operators, and health probes.

import type { Server } from 'node:http';
import { Server as TlsServer } from 'node:https';
import { unixPathOf } from './config/listen-address.ts';
import type { ReferencedFiles } from './config/referenced-files.ts';
import { frontSettings } from './fronts/front-settings.ts';
import { Fronts } from './fronts/fronts.ts';
import { handleClient } from './http/client-door.ts';
import type { ConnectionSlots } from './http/connection-slots.ts';
import type { GatewayContext } from './http/gateway-context.ts';
import type { HealthThread } from './http/health-thread.ts';
import { addressOf, closeServer, listen, listenForOperators, startHealthThread, urlOf } from './http/listening.ts';
import { createOperatorServer, operatorConnections, operatorPort } from './http/operator-server.ts';
import { createGatewayServer } from './http/server.ts';

export class Listeners {
  readonly #context: GatewayContext;
  /** As of the last reload. */
  #files: ReferencedFiles;
  readonly #isSecure: boolean;
  /** Does not listen if there are fronts. */
  readonly #clients: Server | TlsServer;
  #fronts: Fronts | null = null;
  /** Null: operators use the listener of clients. */
  readonly #operators: Server | TlsServer | null;
  readonly #operatorPort: number | null;
  readonly #operatorSlots: ConnectionSlots;
  #health: HealthThread | null = null;

  /** Opens nothing yet. */
  constructor(context: GatewayContext, files: ReferencedFiles) {
    const { config } = context;
    this.#context = context;
    this.#files = files;
    this.#isSecure = files.tls !== null;
    const tls = unixPathOf(config.host) === null ? files.tls : null;
    this.#clients = createGatewayServer(context, tls, (request, response) => handleClient(context, request, response));
    this.#operatorPort = operatorPort(config, [...config.workers, ...files.workers]);
    this.#operatorSlots = operatorConnections(config, () => performance.now());
    this.#operators =
      this.#operatorPort === null ? null : createOperatorServer(context, this.#operatorSlots, files.tls);
  }

  /** @throws ConfigError with advice if an address can't be used. `close...` releases what was opened before. */
  async open(): Promise<void> {
    const { config, metrics } = this.#context;
    // The operators' listener first: if its port is taken, no client has been served.
    if (this.#operators !== null) await listenForOperators(this.#operators, config, this.#operatorPort!);
    if (config.healthPort !== 'none') {
      this.#health = await startHealthThread(this.#context, config.healthPort, this.#files.tls);
    }
    if (config.threads === 1) {
      await listen(this.#clients, config);
      return;
    }
    this.#fronts = await Fronts.start(this.#context, {
      count: config.threads,
      settings: () => frontSettings(this.#context.config, this.#files, this.#context.tracing !== null),
      onDeath: () => metrics.threadDeaths.inc(),
    });
    await this.#fronts.listen(config);
  }

  /** Base URL for clients; null while it does not listen. */
  get url(): string | null {
    const { host } = this.#context.config;
    if (this.#fronts === null) return this.#clients.listening ? addressOf(this.#clients, host) : null;
    return this.#fronts.listening ? urlOf(this.#isSecure, host, this.#fronts.port) : null;
  }

  /** Null: operators have no listener of their own. */
  get adminUrl(): string | null {
    return this.#operators === null ? null : addressOf(this.#operators, this.#context.config.adminHost);
  }

  get healthUrl(): string | null {
    return this.#health === null ? null : urlOf(this.#isSecure, this.#context.config.host, this.#health.port);
  }

  /** Connections of clients by state, wherever they are held. */
  connections(): Readonly<Record<string, number>> {
    return this.#fronts?.figures().connections ?? this.#context.slots.counts();
  }

  bodyBytes(): number {
    return this.#context.bodyBudget.heldBytes + (this.#fronts?.figures().bodyBytes ?? 0);
  }

  answerBytes(): number {
    return this.#context.answerBudget.heldBytes + (this.#fronts?.figures().answerBytes ?? 0);
  }

  /** Fronts that take connections; 0: this process holds them. */
  threads(): number {
    return this.#fronts?.count ?? 0;
  }

  /** The configuration or its files have changed. */
  apply(files: ReferencedFiles): void {
    this.#files = files;
    this.#fronts?.apply();
    const { tls } = files;
    if (tls === null) return;
    for (const listener of [this.#clients, this.#operators]) {
      if (listener instanceof TlsServer) listener.setSecureContext(tls);
    }
    this.#health?.renew(tls);
  }

  /** Health probes learn at once that the gateway stops. */
  stopping(): void {
    this.#health?.beat();
  }

  /** Answers may finish within the grace period. @returns how many were broken off */
  async closeClients(graceMs: number): Promise<number> {
    const { deadlines, log, slots } = this.#context;
    let brokenOffAnswers = 0;
    const breakOff = (): void => {
      brokenOffAnswers = deadlines.breakOff(graceMs);
      if (brokenOffAnswers > 0) log.warn({ brokenOffAnswers, shutdownGraceMs: graceMs }, 'answers broken off');
    };
    if (this.#fronts === null) {
      await closeServer(this.#clients, slots, graceMs, breakOff);
      return brokenOffAnswers;
    }
    // Answers of fronts are theirs; those that the owner gives through fronts are broken off here.
    const timer = setTimeout(breakOff, graceMs);
    const ofFronts = await this.#fronts.close(graceMs);
    clearTimeout(timer);
    return brokenOffAnswers + ofFronts;
  }

  async closeOperators(): Promise<void> {
    if (this.#operators !== null) await closeServer(this.#operators, this.#operatorSlots, 0, () => undefined);
  }

  async closeHealth(): Promise<void> {
    await this.#health?.close();
  }
}
