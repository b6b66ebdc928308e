// Runs the full decision bench: `npm run bench:decision`.

import { benchDecision } from './decision.ts';
import { measureOthers, printOthers } from './decision-others.ts';

benchDecision(20_000);
printOthers(measureOthers(4000, 15));
