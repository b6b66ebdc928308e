// The order of imports: which folder of src/ may import which, and in what order the rooms of a folder stand.
//
// `node scripts/house.mjs` writes it as rules of the linter (biome.imports.json); a test holds the code, the rules and
// ARCHITECTURE.md to it. To add a room, put its name into the list below, then run the script.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Folders of src/ and what each imports besides itself. */
export const folders = {
  core: [],
  sim: ['core'],
  tokens: ['core'],
  wire: ['core'],
  report: ['core'],
  cluster: ['core'],
  trace: ['core', 'tokens'],
  load: ['core', 'tokens', 'wire', 'trace', 'report'],
  lab: ['core', 'trace', 'sim', 'report', 'cluster'],
  gateway: ['core', 'tokens', 'wire', 'trace', 'report', 'cluster'],
  worker: ['core', 'tokens', 'wire', 'sim', 'report'],
  cli: ['core', 'tokens', 'wire', 'trace', 'sim', 'report', 'load', 'lab', 'gateway', 'worker', 'cluster'],
};

/**
 * Rooms of a folder in steps: each imports its own files and those of earlier steps, types included. A name is a folder
 * or a file.
 */
export const rooms = {
  core: [
    ['types.ts', 'assert.ts', 'random.ts'],
    ['blocks'],
    ['ledger'],
    ['held'],
    ['choice'],
    ['policies', 'worker-load.ts', 'shared-load.ts'],
    ['bookings.ts', 'router-options.ts'],
    ['router.ts'],
    ['admission'],
    ['index.ts'],
  ],
  gateway: [
    ['until.ts', 'address-range.ts'],
    ['feeds'],
    ['config'],
    ['engines', 'exchange'],
    ['prompts'],
    ['pools'],
    ['proof', 'telemetry', 'tracing', 'peers'],
    ['fleet'],
    ['page'],
    ['inference'],
    ['selection'],
    ['http'],
    ['fronts'],
    ['listeners.ts'],
    ['gateway.ts'],
    ['doctor'],
    ['index.ts'],
  ],
};

/** For each folder the imports that the linter refuses, as an override of the linter's configuration. */
export function lintRules() {
  const names = Object.keys(folders);
  const rules = [];
  for (const [folder, allowed] of Object.entries(folders)) {
    const others = names.filter((name) => name !== folder && !allowed.includes(name)).map((name) => `**/../${name}/**`);
    const message = `${folder} imports ${allowed.length === 0 ? 'nothing outside itself' : allowed.join(', ')}`;
    if (others.length > 0) rules.push(rule(`src/${folder}/**`, [{ group: others, message }]));
    const steps = rooms[folder] ?? [];
    for (const [i, step] of steps.entries()) {
      const later = steps.slice(i + 1).flat();
      for (const room of step) {
        const refused = [...later, ...step.filter((name) => name !== room)];
        if (refused.length === 0) continue;
        const isFile = room.endsWith('.ts');
        const group = refused.map((name) => (isFile ? './' : '../') + (name.endsWith('.ts') ? name : `${name}/**`));
        const patterns = [{ group, message: `the rooms of ${folder} import one way: scripts/house.mjs has the order` }];
        if (others.length > 0) patterns.push({ group: others, message });
        rules.push(rule(`src/${folder}/${room}${isFile ? '' : '/**'}`, patterns));
      }
    }
  }
  return rules;
}

function rule(include, patterns) {
  const noRestrictedImports = { level: 'error', options: { patterns } };
  return { includes: [include], linter: { rules: { style: { noRestrictedImports } } } };
}

/** The file of the linter's rules: made here, named in `extends` of biome.json. */
export const rulesFile = join(import.meta.dirname, '..', 'biome.imports.json');

export function rulesText() {
  return `${JSON.stringify({ overrides: lintRules() }, null, 2)}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(rulesFile, rulesText());
