// Runs the replay bench: `npm run bench:replay -- [FILE] [POLICY..]`.

import { benchReplay, workloadToReplay } from './replay.ts';

const [file, ...policies] = process.argv.slice(2);
benchReplay(await workloadToReplay(file), policies.length > 0 ? policies : ['round-robin', 'kv', 'lmetric']);
