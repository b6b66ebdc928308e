// Runs the full tokenizer bench, from the project's root.

import { benchTokens } from './tokens.ts';

await benchTokens(100);
