// A route: a path and the methods it takes.

import { RequestError } from '../../wire/openai-error.ts';

export type Methods<T> = Readonly<Partial<Record<string, T>>>;

/** The handler of a method; HEAD is handled as GET. @throws RequestError 405 */
export function forMethod<T>(methods: Methods<T>, method: string, path: string): T {
  const found = methods[method === 'HEAD' ? 'GET' : method];
  if (found !== undefined) return found;
  const allowed = Object.keys(methods).join(', ');
  throw new RequestError(405, 'method_not_allowed', `${path} takes ${allowed}, not ${method}`);
}

export function notFound(path: string): RequestError {
  return new RequestError(404, 'not_found', `there is nothing at ${path}`);
}
