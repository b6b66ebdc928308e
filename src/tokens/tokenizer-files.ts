// Reads the files next to a tokenizer.json that define chat rendering: tokenizer_config.json and chat_template.jinja.

import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ChatTemplate } from './chat-template.ts';
import { type TemplateLimits, templateLimits } from './template-work.ts';
import { type ChatInput, type RenderedChat, TokenizerError } from './tokenizer.ts';

export interface TokenizerFiles {
  readonly tokenizerFile: string;
  /** Null if there is none. */
  readonly configFile: string | null;
  readonly config: TokenizerConfig;
  /** Text of chat_template.jinja. */
  readonly jinja: string | undefined;
}

export interface ChatTemplates {
  readonly standard: ChatTemplate;
  /** For requests with tools, if the model has a separate template. */
  readonly tools: ChatTemplate | undefined;
}

/**
 * @param path a tokenizer.json or its folder; the other files are expected next to it
 * @throws TokenizerError `tokenizer-missing` or `tokenizer-unsupported`
 */
export async function readTokenizerFiles(path: string): Promise<TokenizerFiles> {
  const tokenizerFile = await findTokenizerFile(path);
  const folder = dirname(tokenizerFile);
  const configFile = join(folder, 'tokenizer_config.json');
  const configText = await readIfThere(configFile);
  return {
    tokenizerFile,
    configFile: configText === undefined ? null : configFile,
    config: configText === undefined ? {} : parseConfig(configFile, configText),
    jinja: await readIfThere(join(folder, 'chat_template.jinja')),
  };
}

/** @throws TokenizerError naming the field */
export function renderChat(
  name: string,
  templates: ChatTemplates | undefined,
  chat: ChatInput,
  limits: TemplateLimits = templateLimits,
): RenderedChat {
  if (templates === undefined) {
    throw noTemplate(name);
  }
  const hasTools = (chat.tools ?? null) !== null;
  return (hasTools ? (templates.tools ?? templates.standard) : templates.standard).render(chat, limits);
}

export function noTemplate(name: string): TokenizerError {
  return new TokenizerError('chat-template-missing', `${name} has no chat template`, 'messages');
}

async function findTokenizerFile(path: string): Promise<string> {
  const file = basename(path).endsWith('.json') ? path : join(path, 'tokenizer.json');
  try {
    if ((await stat(file)).isFile()) return file;
  } catch (error) {
    if (!isAbsence(error)) throw error;
  }
  throw new TokenizerError('tokenizer-missing', `there is no file ${file}`);
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

function isAbsence(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

interface TokenizerConfig {
  readonly chat_template?: unknown;
  readonly [field: string]: unknown;
}

function parseConfig(file: string, text: string): TokenizerConfig {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw new TokenizerError('tokenizer-unsupported', `${file} is not JSON: ${String(error)}`);
  }
  if (typeof config !== 'object' || config === null) {
    throw new TokenizerError('tokenizer-unsupported', `${file} does not hold a JSON object`);
  }
  return config as TokenizerConfig;
}

/** Texts and variables of templates, from which another thread can make the same templates. */
export interface TemplateSources {
  readonly standard: string;
  readonly tools: string | undefined;
  readonly variables: Readonly<Record<string, string>>;
}

/** The file wins over the configuration, whose `chat_template` is a text or a list of named ones. */
export function templateSourcesOf({ jinja, config }: TokenizerFiles): TemplateSources | undefined {
  const variables = specialTokenVariables(config);
  const configured = config.chat_template;
  if (jinja !== undefined) return { standard: jinja, tools: undefined, variables };
  if (typeof configured === 'string') return { standard: configured, tools: undefined, variables };
  if (!Array.isArray(configured)) return undefined;
  const named = new Map<unknown, unknown>(
    (configured as { name?: unknown; template?: unknown }[]).map(({ name, template }) => [name, template]),
  );
  const standard = named.get('default');
  const tools = named.get('tool_use');
  if (typeof standard !== 'string') return undefined;
  return { standard, tools: typeof tools === 'string' ? tools : undefined, variables };
}

/**
 * @param addedTokens texts of the added tokens
 * @throws TokenizerError `chat-template-invalid`
 */
export function makeTemplates(
  { standard, tools, variables }: TemplateSources,
  addedTokens: readonly string[],
): ChatTemplates {
  const make = (source: string): ChatTemplate => new ChatTemplate(source, variables, addedTokens);
  return { standard: make(standard), tools: tools === undefined ? undefined : make(tools) };
}

/** `bos_token`, `eos_token` and similar, given as text or as an object with `content`. */
function specialTokenVariables(config: TokenizerConfig): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [field, value] of Object.entries(config)) {
    if (!field.endsWith('_token')) continue;
    const text = typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : value;
    if (typeof text === 'string') variables[field] = text;
  }
  return variables;
}
