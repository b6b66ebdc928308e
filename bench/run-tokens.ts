// Runs the tokenizer bench in full, from the project's root.

import { benchTokens } from './tokens.ts';

await benchTokens(100);
