// Runs the decision bench in full: `npm run bench:decision`.

import { benchDecision } from './decision.ts';

benchDecision(20_000);
