// `npm test`: installs, then type check, lint, build and every test.
import { bin, install } from './set-up.mjs';

install();
bin('tsc', ['--noEmit', '-p', 'tsconfig.json']);
bin('biome', ['check', '--error-on-warnings']);
await import('./build.mjs');
bin('vitest', ['run', ...process.argv.slice(2)]);
