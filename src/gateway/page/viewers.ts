// The pages that look on: each event is written once and sent to all; a slow page misses events, or is dropped.

import type { ServerResponse } from 'node:http';
import type { StreamEvents } from './page-data.ts';

/** A page that has not read for so long is dropped. */
export const slowMsMax = 15_000;
/** How soon a page may come back. */
const retryMs = 2000;

interface Viewer {
  readonly response: ServerResponse;
  /** Since when it has not read all that was sent; null: it has. */
  blockedMs: number | null;
  /** Whether its session is still open. */
  mayLook(): boolean;
}

/** Memory per viewer: at most one event of each kind, since nothing is sent to one that has not read the last. */
export class Viewers {
  readonly #viewers = new Set<Viewer>();
  readonly #nowMs: () => number;
  /** Events that slow viewers missed. */
  skipped = 0;
  dropped = 0;

  /** @param nowMs a monotonic clock */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get count(): number {
    return this.#viewers.size;
  }

  /** Opens the stream. @param mayLook asked before each event @param first events to send at once */
  add(response: ServerResponse, mayLook: () => boolean, first: string): void {
    const viewer: Viewer = { response, blockedMs: null, mayLook };
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-accel-buffering': 'no',
    });
    this.#viewers.add(viewer);
    response.once('close', () => this.#viewers.delete(viewer));
    response.on('drain', () => {
      viewer.blockedMs = null;
    });
    this.#write(viewer, Buffer.from(`retry: ${retryMs}\n\n${first}`));
  }

  /** @param text from `eventText` */
  send(text: string): void {
    const bytes = Buffer.from(text);
    for (const viewer of this.#viewers) {
      if (!viewer.mayLook()) this.#end(viewer, 'signed-out');
      else if (viewer.blockedMs === null) this.#write(viewer, bytes);
      else if (this.#nowMs() - viewer.blockedMs < slowMsMax) this.skipped += 1;
      else {
        this.dropped += 1;
        this.#viewers.delete(viewer);
        viewer.response.destroy();
      }
    }
  }

  close(): void {
    for (const viewer of this.#viewers) this.#end(viewer, 'stopping');
  }

  #write(viewer: Viewer, bytes: Buffer): void {
    if (!viewer.response.write(bytes)) viewer.blockedMs ??= this.#nowMs();
  }

  #end(viewer: Viewer, reason: StreamEvents['bye']['reason']): void {
    this.#viewers.delete(viewer);
    if (viewer.blockedMs === null) viewer.response.end(eventText('bye', { reason, retryMs }));
    else viewer.response.destroy();
  }
}

/** The bytes of one server-sent event. */
export function eventText<Name extends keyof StreamEvents>(name: Name, data: StreamEvents[Name]): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
