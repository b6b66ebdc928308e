// The answers to /health and /ready, the same at every listener.

/** What the answers depend on. */
export interface HealthFacts {
  readonly engines: number;
  /** Engines that take requests. */
  readonly readyEngines: number;
  /** The gateway has been told to stop. */
  readonly stopping: boolean;
  /** How long the event loop that serves requests has not turned; null: it turns. */
  readonly hungMs: number | null;
}

/** As the event loop sees them, which turns if it asks. */
export function healthFacts(gateway: {
  readonly engines: readonly { readonly takesRequests: boolean }[];
  readonly stopping: boolean;
}): HealthFacts {
  const readyEngines = gateway.engines.filter(({ takesRequests }) => takesRequests).length;
  return { engines: gateway.engines.length, readyEngines, stopping: gateway.stopping, hungMs: null };
}

export interface HealthAnswer {
  readonly status: 200 | 503;
  readonly contentType: string;
  readonly body: string;
}

/** By path. */
export const healthAnswers: ReadonlyMap<string, (facts: HealthFacts) => HealthAnswer> = new Map([
  ['/health', healthOf],
  ['/ready', readinessOf],
]);

/** 200 while the gateway runs, whatever its engines do; 503 if its event loop hangs. */
function healthOf({ hungMs }: HealthFacts): HealthAnswer {
  if (hungMs === null) return { status: 200, contentType: 'text/plain', body: 'ok\n' };
  const body = `the event loop has not turned for ${Math.floor(hungMs / 1000)} s\n`;
  return { status: 503, contentType: 'text/plain', body };
}

/** 200 while some engine takes requests and the gateway neither stops nor hangs; else 503. */
function readinessOf({ engines, readyEngines, stopping, hungMs }: HealthFacts): HealthAnswer {
  const ready = readyEngines > 0 && !stopping && hungMs === null;
  const hung = hungMs !== null && { hungMs };
  const body = JSON.stringify({ ready, stopping, readyEngines, engines, ...hung });
  return { status: ready ? 200 : 503, contentType: 'application/json', body };
}
