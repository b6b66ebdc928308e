// `kvoyant sim-worker`: simulated engines with an OpenAI-compatible HTTP API and ZMQ KV events.

import { Command } from 'commander';
import { engineProfileNames } from '../sim/index.ts';
import { writeTokenizerFolder } from '../tokens/tokenizer-folder.ts';
import { kvEventsFormats } from '../wire/kv-events.ts';
import {
  checkOptions,
  OptionError,
  type SimWorkersOptions,
  simWorkersDefaults,
  startSimWorkers,
} from '../worker/index.ts';
import { addHelpNotes } from './help-layout.ts';

const defaults = simWorkersDefaults;

export function simWorkerCommand(): Command {
  const command = new Command('sim-worker')
    .description(
      'Runs simulated inference engines in real time. They behave like vLLM: OpenAI API, streams, /metrics, and KV ' +
        'events over ZMQ.',
    )
    .optionsGroup('Addresses:')
    .option('--count <n>', 'number of engines, each on its own port', toNumber, defaults.count)
    .option('--host <address>', 'address to listen on', defaults.host)
    .option('--port <n>', 'port of the first engine, the others follow; 0: any free ones', toNumber, defaults.port)
    .option('--api-key <key>', 'bearer token that clients must send to /v1 routes')
    .optionsGroup('Model:')
    .option('--model <name>', 'name of the served model', defaults.model)
    .option('--tokenizer <spec>', 'builtin (cl100k_base), or the path of a tokenizer.json', defaults.tokenizer)
    .option('--write-tokenizer <folder>', 'write the builtin tokenizer as a Hugging Face folder, and exit')
    .option('--max-model-len <tokens>', 'most tokens of prompt and output together', toNumber, defaults.maxModelLen)
    .option('--seed <n>', 'seed of the answers and their lengths', toNumber, defaults.seed)
    .optionsGroup('Engine:')
    .option('--cache <kind>', "blocks (vLLM's block pool) or radix (SGLang's radix tree)", defaults.cache)
    .option('--block-size <tokens>', 'tokens in a KV block or page', toNumber, defaults.blockSize)
    .option('--blocks <n>', 'number of KV blocks, the null block included', toNumber, defaults.blocks)
    .option('--max-num-batched-tokens <n>', 'most tokens in a step', toNumber, defaults.maxNumBatchedTokens)
    .option('--max-num-seqs <n>', 'most sequences that run at a time', toNumber, defaults.maxNumSeqs)
    .option('--max-num-queued-reqs <n>', 'most unfinished requests; more get 503', toNumber, defaults.maxNumQueuedReqs)
    .option('--scheduling-policy <name>', 'fcfs or priority', defaults.schedulingPolicy)
    .option('--profile <name>', `step times: ${engineProfileNames.join(', ')}`, defaults.profile)
    .option('--speedup <factor>', 'simulated seconds per real second', toNumber, defaults.speedup)
    .option('--api-overhead-ms <ms>', 'simulated time between arrival and submission', toNumber, defaults.apiOverheadMs)
    .optionsGroup('KV events:')
    .option('--no-kv-events', 'publish no KV events')
    .option('--kv-events-port <n>', 'port of the first publisher; 0: any free ones', toNumber, defaults.kvEventsPort)
    .option(
      '--kv-events-connect <address>',
      'connect to a subscriber that binds this address; further engines use the following ports',
    )
    .option('--kv-events-topic <text>', 'topic of the KV events', defaults.kvEventsTopic)
    .option(
      '--kv-events-format <name>',
      `auto (map; sglang-array with --cache radix), ${kvEventsFormats.join(', ')}`,
      defaults.kvEventsFormat,
    )
    .option('--kv-events-hashes <form>', 'int, or bytes (digests of 32 bytes)', defaults.kvEventsHashes)
    .option('--no-kv-replay', 'keep no KV events for replays')
    .option('--legacy-replay', 'replay KV events without a topic, as vLLM before 0.26', defaults.legacyReplay)
    .option('--buffer-steps <n>', 'batches of KV events kept for replays', toNumber, defaults.bufferSteps)
    .action(runSimWorkers);
  return addHelpNotes(command, {
    examples: [
      ['Eight engines on the ports 8100 to 8107:', 'kvoyant sim-worker --count 8'],
      ['The tokenizer of the engines, for load tools that count tokens:', 'kvoyant sim-worker --write-tokenizer tok'],
      ['One with a small cache that runs ten times as fast:', 'kvoyant sim-worker --blocks 512 --speedup 10'],
    ],
  });
}

interface Flags extends SimWorkersOptions {
  readonly writeTokenizer?: string;
}

async function runSimWorkers({ writeTokenizer, ...options }: Flags, command: Command): Promise<void> {
  if (writeTokenizer !== undefined) return await writeTokenizerTo(writeTokenizer, options, command);
  try {
    const fleet = await startSimWorkers(options);
    for (const [index, { url, kvEvents }] of fleet.workers.entries()) {
      console.log(`sim-worker ${index} listening on ${url} kv-events ${kvEvents ?? 'off'} model ${options.model}`);
    }
    const end = (): void => {
      // Only once: a second signal ends the process immediately.
      process.off('SIGINT', end).off('SIGTERM', end);
      void fleet.close();
    };
    process.on('SIGINT', end).on('SIGTERM', end);
  } catch (error) {
    if (error instanceof OptionError) command.error(`error: ${error.message}`);
    command.error(`error: the simulated engines did not start: ${(error as Error).message}`);
  }
}

async function writeTokenizerTo(folder: string, options: Partial<SimWorkersOptions>, command: Command): Promise<void> {
  try {
    const { tokenizer, maxModelLen } = checkOptions(options);
    if (tokenizer !== 'builtin') throw new Error('only the builtin tokenizer can be written: omit --tokenizer');
    for (const path of await writeTokenizerFolder(folder, maxModelLen)) console.log(path);
  } catch (error) {
    command.error(`error: --write-tokenizer: ${(error as Error).message}`);
  }
}

/** Text that is not a number becomes NaN, which the check of the options refuses with a clear message. */
function toNumber(text: string): number {
  return text.trim() === '' ? Number.NaN : Number(text);
}
