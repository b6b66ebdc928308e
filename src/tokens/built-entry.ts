// Where the module is that a thread or a process of ours runs.

/**
 * Node 20 does not run TypeScript: if the module that asks is the source (under vitest), the built version is run; `npm
 * test` builds first.
 * @param moduleUrl of the module that asks @param name of its neighbour, without extension
 */
export function builtEntry(moduleUrl: string, name: string): URL {
  const { href } = new URL(`./${name}.js`, moduleUrl);
  const at = href.lastIndexOf('/src/');
  return new URL(moduleUrl.endsWith('.ts') ? `${href.slice(0, at)}/dist/${href.slice(at + 5)}` : href);
}
