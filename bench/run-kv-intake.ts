// Runs the full intake bench: `npm run bench:kv-intake [-- MESSAGES_PER_S [SECONDS]]`.

import { benchIntake } from './kv-intake.ts';

const [messagesPerS = 12_000, seconds = 10] = process.argv.slice(2).map(Number);
await benchIntake(messagesPerS, seconds);
