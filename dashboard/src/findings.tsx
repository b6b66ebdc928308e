// Faults in plain words, with what to do about them.

import { useNamedText, useNames } from './context.ts';
import type { Finding } from './data.ts';
import { linkTo } from './route.ts';
import { type Level, StateMark } from './state-mark.tsx';

const levels: Readonly<Record<Finding['severity'], readonly [Level, string]>> = {
  info: ['off', 'note'],
  warning: ['warn', 'warning'],
  bad: ['bad', 'fault'],
};

export function Findings({ findings }: { readonly findings: readonly Finding[] }) {
  const nameOf = useNames();
  const named = useNamedText();
  return (
    <ul class="findings">
      {findings.map((finding) => {
        const [level, word] = levels[finding.severity];
        return (
          <li key={`${finding.worker}/${finding.cause}`}>
            <StateMark level={level} word={word} />
            <div>
              <p>
                {finding.worker !== null && (
                  <>
                    <a href={linkTo('fleet', finding.worker)}>{nameOf(finding.worker)}</a>:{' '}
                  </>
                )}
                {named(finding.message)}
              </p>
              {finding.advice !== null && <p class="advice">What to do: {named(finding.advice)}</p>}
            </div>
          </li>
        );
      })}
    </ul>
  );
}
