// The tokenizer thread: loads one tokenizer, then answers tasks in slices.

import { readFile } from 'node:fs/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { assert } from '../core/assert.ts';
import { loadBuiltinTokenizer } from './builtin-tokenizer.ts';
import { bpeOfImage } from './byte-level-loader.ts';
import { JsonText } from './exact-json.ts';
import { ArrivingTexts } from './in-pieces.ts';
import { JsonReader } from './json-reader.ts';
import {
  mapTexts,
  type SentText,
  type ThreadChat,
  type ThreadChatResult,
  type ThreadReply,
  type ThreadRequest,
  type ThreadResult,
  type ThreadSource,
  type ThreadTask,
  type TokenizerDescription,
} from './thread-messages.ts';
import { ThreadTurns } from './thread-turns.ts';
import { TokenizerError } from './tokenizer.ts';
import { type ChatTemplates, makeTemplates, renderChat, type TemplateSources } from './tokenizer-files.ts';
import { openImage } from './tokenizer-image.ts';

interface Engine {
  readonly description: TokenizerDescription;
  readonly templates: ChatTemplates | undefined;
  /** Can be paused at each `yield`. */
  encode(text: string, addSpecialTokens: boolean): Generator<void, Uint32Array>;
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
        templates: builtin.templates,
        encode: (text, addSpecialTokens) => builtin.encodeSteps(text, addSpecialTokens),
        decode: (ids) => builtin.decode(ids),
      };
    }
    case 'byte-level': {
      const bpe = bpeOfImage(openImage(source.image));
      return {
        description: { vocabSize: bpe.vocabSize, addedTokens: bpe.addedTexts },
        templates: templatesOf(source.templates, bpe.addedTexts),
        encode: (text, addSpecialTokens) => bpe.encodeSteps(text, addSpecialTokens),
        decode: (ids) => bpe.decode(ids),
      };
    }
    case 'hugging-face': {
      const tokenizer = await readJson(source.tokenizerFile);
      const config = source.configFile === null ? {} : await readJson(source.configFile);
      return libraryEngine(source, tokenizer, config);
    }
  }
}

/** The part of a tokenizer.json that is read here. */
interface TokenizerJson {
  readonly model?: { readonly type?: unknown; readonly unk_token?: unknown };
}

/** Undefined in old files; the library then recognizes the model by its fields. */
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

/** An invalid template was reported when the tokenizer was loaded. */
function templatesOf(sources: TemplateSources | null, addedTokens: readonly string[]): ChatTemplates | undefined {
  try {
    return sources === null ? undefined : makeTemplates(sources, addedTokens);
  } catch (error) {
    if (error instanceof TokenizerError) return undefined;
    throw error;
  }
}

function libraryEngine(
  { tokenizerFile: file, templates }: Extract<ThreadSource, { kind: 'hugging-face' }>,
  tokenizer: TokenizerJson,
  config: object,
): Engine {
  const type = tokenizer.model?.type;
  // The library would treat an unknown model as a word list and silently give wrong ids.
  if (!supportedModels.includes(type)) {
    throw new TokenizerError('tokenizer-unsupported', `${file} holds a model of unknown type ${String(type)}`);
  }
  // For a word list the library expects the unknown token in the configuration, where it may be missing.
  const completed = type === 'WordLevel' ? { ...config, unk_token: tokenizer.model?.unk_token } : config;
  let library: Library;
  try {
    library = new LibraryTokenizer(tokenizer, completed) as unknown as Library;
  } catch (error) {
    throw new TokenizerError('tokenizer-unsupported', `${file} is not a usable tokenizer: ${String(error)}`);
  }
  const addedTokens = [...library.get_added_tokens_decoder().values()].map((token) => token.content);
  return {
    description: { vocabSize: library.model.vocab.length, addedTokens },
    templates: templatesOf(templates, addedTokens),
    // The library encodes a text without a pause.
    // biome-ignore lint/correctness/useYield: the others have several steps
    *encode(text, addSpecialTokens) {
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

/** A text as it was sent: bytes are UTF-8. */
type Given = string | Buffer;

function* run(engine: Engine, task: ThreadTask<Given>): Generator<void, ThreadResult> {
  switch (task.kind) {
    case 'describe':
      return engine.description;
    case 'encode':
      return yield* engine.encode(task.text.toString(), task.addSpecialTokens);
    case 'chat':
      return yield* encodeChat(engine, task.chat);
    case 'decode':
      return engine.decode(task.ids);
  }
}

function* encodeChat(engine: Engine, chat: ThreadChat<Given>): Generator<void, ThreadResult> {
  const rendered = renderChat('the tokenizer', engine.templates, {
    ...chat,
    messages: yield* readSteps(chat.messages),
    tools: chat.tools === null ? null : yield* readSteps(chat.tools),
    chatTemplateKwargs: chat.chatTemplateKwargs === null ? null : yield* readSteps(chat.chatTemplateKwargs),
    chatTemplate: chat.chatTemplate === null ? null : new JsonText(chat.chatTemplate.toString()),
  });
  yield;
  const ids = yield* engine.encode(rendered.text, chat.addSpecialTokens);
  if (rendered.exact) return { ids, exact: true };
  const { length: restTokens } = yield* engine.encode(rendered.rest, false);
  return { ids, exact: false, restTokens, otherParts: rendered.otherParts };
}

/** Values read per step. */
const unitsPerStep = 4096;

function* readSteps(given: Given): Generator<void, JsonText> {
  const text = given.toString();
  yield;
  const reader = new JsonReader(text);
  while (!reader.read(unitsPerStep)) yield;
  return new JsonText(text, reader.value);
}

assert(parentPort !== null, 'this module runs in a worker thread');
const port = parentPort;
const loading = load(workerData as ThreadSource);
// Callers get the failure; without this line it would end the thread before the first call.
loading.catch(() => {});
const turns = new ThreadTurns(() => performance.now());
let working = false;
const arriving = new ArrivingTexts();

port.on('message', (request: ThreadRequest) => {
  if (request.kind === 'work') void accept(request);
  else if (request.kind === 'drop') drop(request.group);
  else arriving.add(request.group, request.piece);
});

function drop(group: number): void {
  turns.drop(group);
  arriving.dropGroup(group);
}

async function accept({ id, group, task }: Extract<ThreadRequest, { kind: 'work' }>): Promise<void> {
  try {
    // At once: the texts then end with the task.
    const given = mapTexts<SentText, Given>(task, (text) =>
      typeof text === 'string' ? text : arriving.take(text.sent),
    );
    const steps = run(await loading, given);
    turns.add({ id, group, size: sizeOf(given), step: () => step(id, steps) });
    if (!working) work();
  } catch (error) {
    fail(id, error);
  }
}

/** Messages are received between slices. */
function work(): void {
  working = !turns.isEmpty;
  if (!working) return;
  turns.runSlice();
  setImmediate(work);
}

function step(id: number, steps: Generator<void, ThreadResult>): boolean {
  try {
    const { done, value } = steps.next();
    if (!done) return false;
    port.postMessage({ kind: 'done', id, result: value } satisfies ThreadReply, memoryOf(value));
  } catch (error) {
    fail(id, error);
  }
  return true;
}

/** Buffers to transfer with a result instead of copying them: its ids, which nothing else uses. */
function memoryOf(result: ThreadResult): ArrayBuffer[] {
  const ids = result instanceof Uint32Array ? result : (result as Partial<ThreadChatResult>).ids;
  return ids === undefined ? [] : [ids.buffer as ArrayBuffer];
}

function sizeOf(task: ThreadTask<Given>): number {
  if (task.kind === 'encode') return task.text.length;
  return task.kind === 'chat' ? task.chat.messages.length + (task.chat.tools?.length ?? 0) : 0;
}

function fail(id: number, error: unknown): void {
  const isOurs = error instanceof TokenizerError;
  const code = isOurs ? error.code : 'tokenizer-failed';
  const reason = error instanceof Error ? error.message : String(error);
  port.postMessage({ kind: 'failed', id, code, reason, param: isOurs ? error.param : null } satisfies ThreadReply);
}
