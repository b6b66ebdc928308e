// Finds environment variables that look like settings but are not, so that typing errors are reported.

import { environmentName } from '../gateway/config/setting-texts.ts';
import { settingNames } from '../gateway/config/settings.ts';

const prefix = 'KVOYANT_';
/** Variables of this program that are not settings. */
const others: readonly string[] = ['KVOYANT_CONFIG', 'KVOYANT_CACHE'];
/** Kubernetes sets these for a Service named kvoyant. */
const ofService = /^KVOYANT_(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;
/** More differences than this are not a typing error. */
const differencesMax = 3;

/** One line per unknown variable. */
export function unknownVariables(environment: Readonly<Record<string, string | undefined>>): string[] {
  const known = [...settingNames.map(environmentName), ...others];
  const unknown = Object.keys(environment).filter(
    (name) => name.startsWith(prefix) && !known.includes(name) && !ofService.test(name),
  );
  return unknown.map((name) => {
    const nearest = known
      .map((other) => ({ other, differences: differencesOf(name, other) }))
      .reduce((a, b) => (b.differences < a.differences ? b : a));
    const hint = nearest.differences <= differencesMax ? `; is ${nearest.other} meant?` : '';
    return `the environment variable ${name} is not a setting and has no effect${hint}`;
  });
}

/** Levenshtein distance: letters to insert, remove or replace. */
function differencesOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
