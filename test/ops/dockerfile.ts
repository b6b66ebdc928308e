// Reads a Dockerfile as far as ours goes: stages, and their instructions one by one.

export interface Instruction {
  readonly name: string;
  /** As written, lines that go on joined. */
  readonly text: string;
}

export interface Stage {
  /** Of `FROM ... AS NAME`; null: the last one. */
  readonly name: string | null;
  readonly instructions: readonly Instruction[];
}

export function readDockerfile(text: string): readonly Stage[] {
  const lines = text
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join('\n')
    .replace(/\\\n\s*/g, '')
    .split('\n');
  const stages: { name: string | null; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const [, name, rest] = /^([A-Z]+) +(.*)$/.exec(line)!;
    if (name === 'FROM') stages.push({ name: / AS (\S+)$/.exec(rest!)?.[1] ?? null, instructions: [] });
    else stages.at(-1)!.instructions.push({ name: name!, text: rest! });
  }
  return stages;
}

/** The JSON list of `CMD`, `ENTRYPOINT`, or of the `CMD` in `HEALTHCHECK`. */
export function listIn({ text }: Instruction): readonly string[] {
  return JSON.parse(text.slice(text.indexOf('['))) as string[];
}

/** Whether a path is left out of the context, by the patterns that ours has: names from the top, and `**` + a name. */
export function isIgnored(path: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => {
    if (!pattern.startsWith('**/')) return path === pattern || path.startsWith(`${pattern}/`);
    const part = new RegExp(`^${pattern.slice(3).replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`);
    return path.split('/').some((one) => part.test(one));
  });
}
