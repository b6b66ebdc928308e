// The live connection: joins the gateway's event stream, notices silence, and comes back by itself.

import type { DecisionBatch, StreamEvents } from '../data.ts';
import { ApiError, api } from './api.ts';
import { addDecisions, noDecisions } from './decision-feed.ts';
import type { Store } from './store.ts';

/** A snapshot comes every second; after this long without one the data are called old. */
const silenceMsMax = 4000;
const checkMs = 500;
const firstRetryMs = 400;
const retryMsMax = 10_000;

export class Stream {
  readonly #store: Store;
  #source: EventSource | null = null;
  /** Batches that came before the older decisions; null: those have come. Bounded by the time that an answer may take. */
  #early: DecisionBatch[] | null = null;
  #retryMs = firstRetryMs;
  #timer = 0;
  #lastEventMs = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  start(): void {
    setInterval(() => this.#check(), checkMs);
    // A machine that wakes up should not wait for the next try.
    addEventListener('online', () => this.#connect());
    this.#connect();
  }

  /** After a login or logout. */
  restart(): void {
    this.#retryMs = firstRetryMs;
    this.#connect();
  }

  #connect(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
    void this.#join();
  }

  /** Asks for the session first: an event stream does not say why it is refused. */
  async #join(): Promise<void> {
    try {
      const session = await api.session();
      this.#store.change({ session });
      if (session.open) this.#open();
    } catch (error) {
      this.#lost(faultOf(error));
    }
  }

  /**
   * Fetches the decisions from before the stream's opening. It is asked once the stream is open, so that none falls
   * between the two.
   */
  async #lookBack(source: EventSource): Promise<void> {
    try {
      const { decisions } = await api.decisions('limit=500');
      if (this.#source !== source) return;
      const early = this.#early ?? [];
      this.#early = null;
      const feed = addDecisions(noDecisions, { decisions, leftOut: 0, perS: 0 });
      this.#store.change({ decisions: early.reduce(addDecisions, feed) });
    } catch (error) {
      if (this.#source === source) this.#lost(faultOf(error));
    }
  }

  #open(): void {
    this.#source?.close();
    const source = new EventSource('/page/stream');
    this.#source = source;
    this.#lastEventMs = Date.now();
    this.#early = [];
    source.onopen = () => void this.#lookBack(source);
    const on = <Name extends keyof StreamEvents>(name: Name, take: (data: StreamEvents[Name]) => void): void => {
      source.addEventListener(name, (event) => {
        if (this.#source !== source) return;
        this.#alive();
        take(JSON.parse((event as MessageEvent<string>).data) as StreamEvents[Name]);
      });
    };
    on('snapshot', (snapshot) => this.#store.change({ snapshot, snapshotMs: Date.now() }));
    on('sparklines', (sparklines) => this.#store.change({ sparklines }));
    on('decisions', (batch) => {
      if (this.#early === null) this.#store.change({ decisions: addDecisions(this.#store.state.decisions, batch) });
      else this.#early.push(batch);
    });
    on('what-if', (whatIf) => this.#store.change({ whatIf }));
    on('doctor', (doctor) => this.#store.change({ doctor }));
    on('bye', ({ reason, retryMs }) => {
      this.#retryMs = Math.max(firstRetryMs, retryMs);
      if (reason === 'signed-out') this.#connect();
      else this.#lost(reason === 'stopping' ? 'the gateway stops' : 'this browser was too slow');
    });
    source.onerror = () => {
      if (this.#source === source) this.#lost('the connection ended');
    };
  }

  #alive(): void {
    this.#lastEventMs = Date.now();
    if (this.#store.state.connection.kind === 'live') return;
    this.#retryMs = firstRetryMs;
    const said = this.#store.state.connection.kind === 'lost' ? 'Connected again' : '';
    this.#store.change({ connection: { kind: 'live' }, said });
  }

  #check(): void {
    if (this.#source !== null && Date.now() - this.#lastEventMs > silenceMsMax) this.#lost('no data arrive');
  }

  #lost(why: string): void {
    this.#source?.close();
    this.#source = null;
    const { connection, snapshotMs } = this.#store.state;
    if (connection.kind !== 'lost') {
      const sinceMs = snapshotMs === 0 ? Date.now() : snapshotMs;
      this.#store.change({ connection: { kind: 'lost', sinceMs, why }, said: `Connection lost: ${why}` });
    }
    clearTimeout(this.#timer);
    // Pages that lost the same gateway should not come back in the same moment.
    this.#timer = window.setTimeout(() => this.#connect(), this.#retryMs * (0.75 + Math.random() / 2));
    this.#retryMs = Math.min(retryMsMax, this.#retryMs * 2);
  }
}

function faultOf(error: unknown): string {
  return error instanceof ApiError ? error.message : 'the gateway did not answer';
}
