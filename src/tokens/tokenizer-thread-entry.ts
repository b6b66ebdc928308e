// What the tokenizer's thread runs: loads one tokenizer, then answers requests in order.
import { readFile } from 'node:fs/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { assert } from '../core/assert.ts';
import { loadBuiltinTokenizer } from './builtin-tokenizer.ts';
import { bpeOfImage } from './byte-level-loader.ts';
import { TokenizerError } from './tokenizer.ts';
import { openImage } from './tokenizer-image.ts';
import type {
  ThreadReply,
  ThreadRequest,
  ThreadResult,
  ThreadSource,
  ThreadTask,
  TokenizerDescription,
} from './tokenizer-thread.ts';

interface Engine {
  readonly description: TokenizerDescription;
  encode(text: string, addSpecialTokens: boolean): Uint32Array;
  decode(ids: Uint32Array): string;
}

/** The part of the library's tokenizer that is used; its own declarations do not resolve under NodeNext. */
interface Library {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  get_added_tokens_decoder(): Map<number, { content: string }>;
  readonly model: { readonly vocab: readonly unknown[] };
}

async function load(source: ThreadSource): Promise<Engine> {
  switch (source.kind) {
    case 'builtin': {
      const builtin = await loadBuiltinTokenizer();
      return {
        description: { vocabSize: builtin.vocabSize, addedTokens: [] },
        encode: (text) => builtin.encode(text),
        decode: (ids) => builtin.decode(ids),
      };
    }
    case 'byte-level': {
      const bpe = bpeOfImage(openImage(source.image));
      return {
        description: { vocabSize: bpe.vocabSize, addedTokens: bpe.addedTexts },
        encode: (text, addSpecialTokens) => bpe.encode(text, addSpecialTokens),
        decode: (ids) => bpe.decode(ids),
      };
    }
    case 'hugging-face': {
      const tokenizer = await readJson(source.tokenizerFile);
      const config = source.configFile === null ? {} : await readJson(source.configFile);
      return libraryEngine(source.tokenizerFile, tokenizer, config);
    }
  }
}

/** The part of a tokenizer.json that is looked at here. */
interface TokenizerJson {
  readonly model?: { readonly type?: unknown; readonly unk_token?: unknown };
}

/** Absent in files of old; the library then tells the model by its fields. */
const supportedModels: readonly unknown[] = ['BPE', 'Unigram', 'WordPiece', 'WordLevel', undefined];

async function readJson(file: string): Promise<object> {
  const text = await readFile(file, 'utf8');
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch (error) {
    throw new TokenizerError('tokenizer-unsupported', `${file} is not JSON: ${String(error)}`);
  }
  throw new TokenizerError('tokenizer-unsupported', `${file} does not hold a JSON object`);
}

function libraryEngine(file: string, tokenizer: TokenizerJson, config: object): Engine {
  const type = tokenizer.model?.type;
  // The library takes an unknown model for a word list, which gives wrong ids in silence.
  if (!supportedModels.includes(type)) {
    throw new TokenizerError('tokenizer-unsupported', `${file} holds a model of unknown type ${String(type)}`);
  }
  // For a word list the library looks for the unknown token in the configuration, where it need not be.
  const completed = type === 'WordLevel' ? { ...config, unk_token: tokenizer.model?.unk_token } : config;
  let library: Library;
  try {
    library = new LibraryTokenizer(tokenizer, completed) as unknown as Library;
  } catch (error) {
    throw new TokenizerError('tokenizer-unsupported', `${file} is no tokenizer that can be used: ${String(error)}`);
  }
  return {
    description: {
      vocabSize: library.model.vocab.length,
      addedTokens: [...library.get_added_tokens_decoder().values()].map((token) => token.content),
    },
    encode(text, addSpecialTokens) {
      const { ids } = library.encode(text, { add_special_tokens: addSpecialTokens });
      if (ids.includes(undefined)) throw new Error('the text has parts that the vocabulary lacks');
      return Uint32Array.from(ids as number[]);
    },
    decode(ids) {
      // The library refuses an empty list.
      if (ids.length === 0) return '';
      return library.decode([...ids], { skip_special_tokens: false, clean_up_tokenization_spaces: false });
    },
  };
}

function run(engine: Engine, task: ThreadTask): ThreadResult {
  switch (task.kind) {
    case 'describe':
      return engine.description;
    case 'encode':
      return engine.encode(task.text, task.addSpecialTokens);
    case 'decode':
      return engine.decode(task.ids);
  }
}

assert(parentPort !== null, 'this module runs in a worker thread');
const port = parentPort;
const loading = load(workerData as ThreadSource);
// Whoever asks gets the failure; without this line it would end the thread before anyone has asked.
loading.catch(() => {});

port.on('message', async ({ id, task }: ThreadRequest) => {
  let reply: ThreadReply;
  try {
    reply = { kind: 'done', id, result: run(await loading, task) };
  } catch (error) {
    const code = error instanceof TokenizerError ? error.code : 'tokenizer-failed';
    reply = { kind: 'failed', id, code, reason: error instanceof Error ? error.message : String(error) };
  }
  port.postMessage(reply);
});
