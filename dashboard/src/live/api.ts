// Requests to the gateway that serves this page.

import type {
  DecisionInFull,
  DecisionList,
  DoctorState,
  History,
  PageSession,
  PrefixMap,
  Span,
  Truth,
  WhatIf,
} from '../data.ts';

/** The gateway refused; `status` 0: it was not reached. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const answerMsMax = 15_000;

/** @throws ApiError */
async function call<T>(method: string, path: string, body?: object): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      // A page of another site can't set a header, so this proves that the request is ours.
      headers: { 'x-kvoyant-page': '1', ...(body !== undefined && { 'content-type': 'application/json' }) },
      credentials: 'same-origin',
      cache: 'no-store',
      signal: AbortSignal.timeout(answerMsMax),
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(0, 'the gateway did not answer');
  }
  if (response.ok) return (await response.json()) as T;
  throw new ApiError(response.status, await messageOf(response));
}

async function messageOf(response: Response): Promise<string> {
  try {
    const { error } = (await response.json()) as { error?: { message?: string } };
    return error?.message ?? `the gateway answered ${response.status}`;
  } catch {
    return `the gateway answered ${response.status}`;
  }
}

const part = encodeURIComponent;

export const api = {
  session: () => call<PageSession>('GET', '/page/session'),
  login: (key: string) => call<PageSession>('POST', '/page/login', { key }),
  logout: () => call<PageSession>('POST', '/page/logout'),
  history: (span: Span, worker: string | null) =>
    call<History>('GET', `/page/history?span=${span}${worker === null ? '' : `&worker=${part(worker)}`}`),
  decisions: (query: string) => call<DecisionList>('GET', `/page/decisions?${query}`),
  decision: (requestId: string) => call<readonly DecisionInFull[]>('GET', `/page/decisions/${part(requestId)}`),
  prefixes: () => call<PrefixMap>('GET', '/page/prefixes'),
  truth: (span: Span) => call<Truth>('GET', `/page/truth?span=${span}`),
  whatIf: () => call<WhatIf>('GET', '/page/what-if'),
  askWhatIf: (policy: string, minutes: number) => call<WhatIf>('POST', '/page/what-if', { policy, minutes }),
  doctor: () => call<DoctorState>('GET', '/page/doctor'),
  runDoctor: (worker: string) => call<DoctorState>('POST', '/page/doctor', { worker }),
  drain: (worker: string, on: boolean) => call<unknown>(on ? 'POST' : 'DELETE', `/workers/${part(worker)}/drain`),
};
