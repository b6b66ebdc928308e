// Connections to a collector that end in any case: the exporter's own limit only notices silence, so a collector that
// sends a byte now and then would hold a connection, and what was sent on it, for ever.

import { Agent, type AgentOptions } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import type { Duplex } from 'node:stream';

/** Of a collector, and shown to it; PEM. */
export interface TlsFiles {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** @returns a factory of agents, as exporters take it @param msMax a connection's age at which it is broken off */
export function shortLived(msMax: number, tls: TlsFiles): (protocol: string) => Agent {
  return (protocol) =>
    limited(protocol === 'https:' ? new TlsAgent({ ...options, ...tls }) : new Agent(options), msMax);
}

/** An export every few seconds does not need a connection that stays. */
const options: AgentOptions = { keepAlive: false, maxSockets: 8 };

type Connect = (options: unknown, done?: (error: Error | null, socket: Duplex) => void) => Duplex | null | undefined;

function limited(agent: Agent, msMax: number): Agent {
  const creating = agent as unknown as { createConnection: Connect };
  const create = creating.createConnection.bind(agent);
  creating.createConnection = (to, done) => {
    const socket = create(to, done);
    if (socket) {
      const timer = setTimeout(() => socket.destroy(new Error(`no complete answer within ${msMax} ms`)), msMax);
      timer.unref();
      socket.once('close', () => clearTimeout(timer));
    }
    return socket;
  };
  return agent;
}
