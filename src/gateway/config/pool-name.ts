// The form of a pool's name.

const form = /^[\w.-]{1,64}$/;

export const poolNameRule = 'must have 1 to 64 letters, digits or any of . _ -';

export function isPoolName(name: unknown): name is string {
  return typeof name === 'string' && form.test(name);
}
