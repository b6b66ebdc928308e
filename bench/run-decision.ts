// Runs the full decision bench: `npm run bench:decision`.

import { benchDecision } from './decision.ts';

benchDecision(20_000);
