// `kvoyant lab`: experiments in virtual time, any policy on any workload.

import { Command } from 'commander';
import { labCapacityCommand } from './lab-capacity.ts';
import { labCompareCommand } from './lab-compare.ts';
import { labPaperCommand } from './lab-paper.ts';
import { labRunCommand } from './lab-run.ts';
import { labStatsCommand } from './lab-stats.ts';

export function labCommand(): Command {
  return new Command('lab')
    .description('compare routing policies on workloads and traces in virtual time')
    .addCommand(labRunCommand())
    .addCommand(labCompareCommand())
    .addCommand(labCapacityCommand())
    .addCommand(labPaperCommand())
    .addCommand(labStatsCommand());
}
