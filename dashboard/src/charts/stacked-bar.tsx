// One bar of several parts over a whole.

export interface BarPart {
  readonly name: string;
  readonly value: number;
  /** Name of a colour of the style sheet. */
  readonly colour: string;
}

interface Props {
  readonly parts: readonly BarPart[];
  /** Value of the full width. */
  readonly whole: number;
  /** Says all of it, for those who can't see it. */
  readonly label: string;
}

/** Parts beyond the whole are cut: the figure beside the bar says by how much. */
export function StackedBar({ parts, whole, label }: Props) {
  const sum = parts.reduce((total, { value }) => total + value, 0);
  const scale = whole > 0 ? 100 / Math.max(whole, sum) : 0;
  return (
    <div class="bar" role="img" aria-label={label} title={label}>
      {parts.map(({ name, value, colour }) =>
        value > 0 ? <span key={name} style={{ width: `${value * scale}%`, background: `var(${colour})` }} /> : null,
      )}
    </div>
  );
}
