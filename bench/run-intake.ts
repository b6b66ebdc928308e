// Runs the full intake bench, from the project's root.

import { benchIntake } from './intake.ts';

await benchIntake(200, 5);
