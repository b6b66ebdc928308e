// The imports of src/ as a graph, those of types included.

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

const root = join(import.meta.dirname, '..', '..');

/** For each file under src/ (`core/router.ts`) the files that it imports. */
export function readImports(): ReadonlyMap<string, readonly string[]> {
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.ts'));
  const imports = new Map<string, readonly string[]>();
  for (const file of files.toSorted()) {
    const text = readFileSync(join(root, 'src', file), 'utf8');
    const targets = [...text.matchAll(/(?:from|import\(|import)\s*'(\.[^']+)'/g)].map(([, target]) =>
      posix.join(dirname(file), target!),
    );
    imports.set(
      file,
      targets.filter((target) => files.includes(target)),
    );
  }
  return imports;
}

/** One cycle, as the files on it in order; null: there is none. */
export function findCycle(imports: ReadonlyMap<string, readonly string[]>): readonly string[] | null {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): readonly string[] | null => {
    if (done.has(file)) return null;
    const at = path.indexOf(file);
    if (at >= 0) return [...path.slice(at), file];
    path.push(file);
    for (const target of imports.get(file) ?? []) {
      const cycle = visit(target);
      if (cycle !== null) return cycle;
    }
    path.pop();
    done.add(file);
    return null;
  };
  for (const file of imports.keys()) {
    const cycle = visit(file);
    if (cycle !== null) return cycle;
  }
  return null;
}
