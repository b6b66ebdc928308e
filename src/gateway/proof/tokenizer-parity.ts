// Compares the token ids of gateway and engine for the same text; if they differ, no block ever matches.

import type { ChatFeature } from '../../tokens/chat-facts.ts';
import { plainChat } from '../../tokens/plain-chat.ts';
import { type ChatInput, type Tokenizer, TokenizerError } from '../../tokens/tokenizer.ts';
import { type EngineProbe, ProbeError, type TokenizeInput } from '../engines/engine-probe.ts';
import type { Parity, TokenizerVerdict } from '../engines/tokenizer-verdict.ts';
import { featureChats } from './feature-chats.ts';

/** Scripts, digits, white space, code and a four-byte character, where vocabularies differ. */
const probeText =
  'Routing 12345 tokens — déjà vu, Straße, привет, 你好世界, こんにちは, مرحبا 🧭\n\tif (x != 0) { return "ok"; }   \r\n';

const userMessage = { role: 'user', content: probeText };
/** The first chat that the engine's template accepts is compared; some accept no system message. */
const probeChats = [[{ role: 'system', content: 'You are brief.' }, userMessage], [userMessage]];

/** @throws ProbeError if the engine can't be reached. */
export async function compareTokenizers(
  probe: EngineProbe,
  model: string,
  tokenizer: Tokenizer,
): Promise<TokenizerVerdict> {
  const text = await toldIds(probe, { prompt: probeText }, model);
  const chat = await toldChat(probe, model);
  const verdict: TokenizerVerdict = {
    text: text === null ? 'unavailable' : await compare(async () => await tokenizer.encode(probeText), text),
    chat:
      chat === null
        ? 'unavailable'
        : await compare(async () => (await tokenizer.encodeChat(plainChat({ messages: chat.messages }))).ids, chat.ids),
  };
  if (verdict.chat !== 'agrees') return verdict;
  const differing = await differingFeatures(probe, model, tokenizer);
  return differing.length === 0 ? verdict : { ...verdict, differing };
}

/** Skips chats that the engine refuses, such as images for a text model. */
async function differingFeatures(probe: EngineProbe, model: string, tokenizer: Tokenizer): Promise<ChatFeature[]> {
  const differing: ChatFeature[] = [];
  for (const [feature, chat] of featureChats) {
    const told = await toldIds(probe, { chat }, model);
    if (told !== null && !(await isBeginningOrWhole(tokenizer, chat, told))) differing.push(feature);
  }
  return differing;
}

/** For a chat with an image only the ids before it are compared. */
async function isBeginningOrWhole(tokenizer: Tokenizer, chat: ChatInput, told: readonly number[]): Promise<boolean> {
  try {
    const { ids, exact } = await tokenizer.encodeChat(chat);
    return isTail(ids, exact ? told : told.slice(0, ids.length), 0);
  } catch (error) {
    if (error instanceof TokenizerError) return false;
    throw error;
  }
}

/**
 * Whether the engine provides token ids, for a gateway without a tokenizer.
 * @param before the previous verdict, kept if the engine is too busy to answer
 * @throws ProbeError if nothing listens there
 */
export async function askableTokens(
  probe: EngineProbe,
  model: string,
  before: TokenizerVerdict,
): Promise<TokenizerVerdict> {
  try {
    const text = await toldIds(probe, { prompt: probeText }, model);
    const chat = await toldChat(probe, model);
    return { text: text === null ? 'unavailable' : 'asked', chat: chat === null ? 'unavailable' : 'asked' };
  } catch (error) {
    // A /tokenize that never answers does not make the engine unusable: its prompts are routed by bytes.
    if (!(error instanceof ProbeError) || error.refused) throw error;
    return before.text === 'asked' ? before : { text: 'unavailable', chat: 'unavailable' };
  }
}

/** Null: the engine lacks the route or refuses. @throws ProbeError if it does not answer at all */
async function toldIds(probe: EngineProbe, input: TokenizeInput, model: string): Promise<number[] | null> {
  try {
    return await probe.tokenize(input, model);
  } catch (error) {
    if (error instanceof ProbeError && error.status !== 0) return null;
    throw error;
  }
}

async function toldChat(
  probe: EngineProbe,
  model: string,
): Promise<{ readonly messages: (typeof probeChats)[number]; readonly ids: number[] } | null> {
  for (const messages of probeChats) {
    const ids = await toldIds(probe, { messages }, model);
    if (ids !== null) return { messages, ids };
  }
  return null;
}

async function compare(own: () => Promise<Uint32Array>, told: readonly number[]): Promise<Parity> {
  let ids: Uint32Array;
  try {
    ids = await own();
  } catch {
    // The tokenizer can't do what the engine can, for example without a chat template.
    return 'differs';
  }
  if (isTail(ids, told, 0)) return 'agrees';
  const [shorter, longer] = ids.length < told.length ? [ids, told] : [told, ids];
  const doubled = longer.length > 1 && longer[0] === longer[1] && isTail(shorter, longer, 1);
  return doubled ? 'double-bos' : 'differs';
}

/** Whether `tail` is `whole` without its first ids. */
function isTail(tail: ArrayLike<number>, whole: ArrayLike<number>, without: number): boolean {
  if (tail.length !== whole.length - without) return false;
  for (let i = 0; i < tail.length; i++) if (tail[i] !== whole[i + without]) return false;
  return true;
}
