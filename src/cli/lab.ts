// `kvoyant lab`: experiments in virtual time with any policy on any workload.

import { Command } from 'commander';
import { addHelpNotes } from './help-layout.ts';
import { labCapacityCommand } from './lab-capacity.ts';
import { labCompareCommand } from './lab-compare.ts';
import { labPaperCommand } from './lab-paper.ts';
import { labRunCommand } from './lab-run.ts';
import { labStatsCommand } from './lab-stats.ts';
import { labTenantsCommand } from './lab-tenants.ts';

export function labCommand(): Command {
  const command = new Command('lab')
    .description('Runs routing policies on workloads and traces in virtual time. Needs no engine.')
    .addCommand(labRunCommand())
    .addCommand(labCompareCommand())
    .addCommand(labCapacityCommand())
    .addCommand(labPaperCommand())
    .addCommand(labTenantsCommand())
    .addCommand(labStatsCommand());
  return addHelpNotes(command, {
    examples: [
      ['What is in a trace?', 'kvoyant lab stats trace.jsonl.gz'],
      ['Which policy is best for it?', 'kvoyant lab compare trace.jsonl.gz'],
    ],
  });
}
