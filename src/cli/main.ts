#!/usr/bin/env node
// The `kvoyant` program: loads the command that is asked for, and runs it.

import { kvoyantProgram } from './commands.ts';

const [first = '', second = ''] = process.argv.slice(2);
const asked = first === 'help' ? second : first;
const program = await kvoyantProgram((name) => name === asked);
if (first === '') program.help({ error: true });
await program.parseAsync();
