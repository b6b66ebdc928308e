// How a state looks: a shape, a colour and a word, so that none of them is needed to understand the others.

export type Level = 'well' | 'busy' | 'warn' | 'bad' | 'off';

const shapes: Readonly<Record<Level, string>> = {
  // A disc, a ring, a triangle, a cross on a square, a half disc.
  well: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z',
  busy: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zm0 3a3 3 0 1 1 0 6 3 3 0 0 1 0-6z',
  warn: 'M8 1.5 15 14H1z',
  bad: 'M2 2h12v12H2zm3.4 2L4 5.4 6.6 8 4 10.6 5.4 12 8 9.4l2.6 2.6 1.4-1.4L9.4 8 12 5.4 10.6 4 8 6.6z',
  off: 'M8 2v12A6 6 0 1 1 8 2zm1 0a6 6 0 0 1 0 12v-1.6a4.4 4.4 0 0 0 0-8.8z',
};

interface Props {
  readonly level: Level;
  readonly word?: string;
}

export function StateMark({ level, word }: Props) {
  return (
    <span class={`state ${level}`}>
      <svg viewBox="0 0 16 16" width="13" height="13" aria-hidden="true">
        <path d={shapes[level]} fill-rule="evenodd" fill="currentColor" />
      </svg>
      {word}
    </span>
  );
}
