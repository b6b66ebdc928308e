// A route: a path and the methods it takes.

import { RequestError } from '../../wire/openai-error.ts';

export type Methods<T> = Readonly<Partial<Record<string, T>>>;

/** The handler of a method; HEAD is handled as GET. @throws RequestError 405 */
export function forMethod<T>(methods: Methods<T>, method: string, path: string): T {
  const found = methods[method === 'HEAD' ? 'GET' : method];
  if (found !== undefined) return found;
  throw notAllowed(method, Object.keys(methods), path);
}

/** @param methods that are allowed here; HEAD is where GET is */
export function notAllowed(method: string, methods: readonly string[], path = 'this'): RequestError {
  const allowed = methods.join(', ');
  const allow = allowed.replace(/\bGET\b/, 'GET, HEAD');
  return new RequestError(405, 'method_not_allowed', `${path} takes ${allowed}, not ${method}`, null, null, { allow });
}

export function notFound(path: string): RequestError {
  return new RequestError(404, 'not_found', `there is nothing at ${path}`);
}
