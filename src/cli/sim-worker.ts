// The command `kvoyant sim-worker`: simulated engines behind OpenAI-shaped HTTP and ZMQ KV events.

import { Command } from 'commander';
import { kvEventsFormats } from '../wire/kv-events.ts';
import { OptionError, type SimWorkersOptions, simWorkersDefaults, startSimWorkers } from '../worker/index.ts';

const defaults = simWorkersDefaults;

export function simWorkerCommand(): Command {
  return new Command('sim-worker')
    .description('Runs simulated vLLM engines in real time: OpenAI HTTP, SSE, /metrics and KV events over ZMQ.')
    .option('--count <n>', 'engines, each on its own port', toNumber, defaults.count)
    .option('--host <address>', 'address to listen on', defaults.host)
    .option('--port <n>', 'port of the first engine, the others follow; 0: any free ones', toNumber, defaults.port)
    .option('--no-kv-events', 'publish no KV events')
    .option('--kv-events-port <n>', 'port of the first publisher; 0: any free ones', toNumber, defaults.kvEventsPort)
    .option(
      '--kv-events-connect <address>',
      'connect to a subscriber that binds there (the others to the ports behind)',
    )
    .option('--kv-events-topic <text>', 'topic of the KV events', defaults.kvEventsTopic)
    .option(
      '--kv-events-format <name>',
      `auto (map, with radix sglang-array), ${kvEventsFormats.join(', ')}`,
      defaults.kvEventsFormat,
    )
    .option('--kv-events-hashes <form>', 'int, or bytes: digests of 32 bytes', defaults.kvEventsHashes)
    .option('--no-kv-replay', 'KV events can not be asked for again')
    .option('--legacy-replay', 'replayed KV events without a topic, as before vLLM 0.26', defaults.legacyReplay)
    .option('--buffer-steps <n>', 'batches of KV events kept for replays', toNumber, defaults.bufferSteps)
    .option('--model <name>', 'name of the served model', defaults.model)
    .option('--tokenizer <spec>', 'builtin, or the path of a tokenizer.json', defaults.tokenizer)
    .option('--cache <kind>', "blocks: vLLM's pool; radix: SGLang's tree", defaults.cache)
    .option('--block-size <tokens>', 'tokens in a KV block or page', toNumber, defaults.blockSize)
    .option('--blocks <n>', 'KV blocks, the null block included', toNumber, defaults.blocks)
    .option('--max-num-batched-tokens <n>', 'token budget of a step', toNumber, defaults.maxNumBatchedTokens)
    .option('--max-num-seqs <n>', 'sequences that run at the same time', toNumber, defaults.maxNumSeqs)
    .option('--max-model-len <tokens>', 'longest prompt and output together', toNumber, defaults.maxModelLen)
    .option('--max-num-queued-reqs <n>', 'unfinished requests; more get 503', toNumber, defaults.maxNumQueuedReqs)
    .option('--scheduling-policy <name>', 'fcfs or priority', defaults.schedulingPolicy)
    .option('--profile <name>', 'step times: l40s-llama8b, l40s-llama8b-analytic or constant', defaults.profile)
    .option('--speedup <factor>', 'simulated seconds in a real second', toNumber, defaults.speedup)
    .option('--seed <n>', 'of answers and their lengths', toNumber, defaults.seed)
    .option('--api-overhead-ms <ms>', 'simulated time between arrival and submission', toNumber, defaults.apiOverheadMs)
    .option('--api-key <key>', 'required as a bearer token on /v1 routes')
    .action(runSimWorkers);
}

async function runSimWorkers(options: SimWorkersOptions, command: Command): Promise<void> {
  try {
    const fleet = await startSimWorkers(options);
    for (const [index, { url, kvEvents }] of fleet.workers.entries()) {
      console.log(`sim-worker ${index} listening on ${url} kv-events ${kvEvents ?? 'off'} model ${options.model}`);
    }
    const end = (): void => {
      // Once: a second signal ends the process at once.
      process.off('SIGINT', end).off('SIGTERM', end);
      void fleet.close();
    };
    process.on('SIGINT', end).on('SIGTERM', end);
  } catch (error) {
    if (error instanceof OptionError) command.error(`error: ${error.message}`);
    command.error(`error: the simulated engines did not start: ${(error as Error).message}`);
  }
}

/** Text that is no number becomes NaN, which the check of the options refuses with what is allowed. */
function toNumber(text: string): number {
  return text.trim() === '' ? Number.NaN : Number(text);
}
