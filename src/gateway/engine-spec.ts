// One engine as the operator names it: `URL[,key=value...]`.

export interface EngineSpec {
  /** Base address, without a slash at its end. */
  readonly url: string;
  /** Address of the engine's KV events; absent: asked of the engine. */
  readonly kvEvents?: string;
  /** Where those events can be asked for again. */
  readonly kvReplay?: string;
  /** Sent to this engine instead of the client's own authorization. */
  readonly apiKey?: string;
  readonly capacityBlocks?: number;
  readonly blockSize?: number;
  /** The model that it serves; absent: asked of the engine. */
  readonly model?: string;
}

export type EngineSpecResult =
  | { readonly kind: 'spec'; readonly spec: EngineSpec }
  | { readonly kind: 'wrong'; readonly message: string };

const keys = ['kv-events', 'kv-replay', 'api-key', 'blocks', 'block-size', 'model'] as const;

export function parseEngineSpec(text: string): EngineSpecResult {
  const [address = '', ...settings] = text.split(',');
  const url = parseHttpUrl(address.trim());
  if (url === null) return wrong(`${JSON.stringify(address)} is no http:// or https:// address`);
  let spec: EngineSpec = { url };
  for (const setting of settings) {
    const split = setting.indexOf('=');
    const key = setting.slice(0, split === -1 ? undefined : split).trim();
    const value = split === -1 ? '' : setting.slice(split + 1).trim();
    if (value === '') return wrong(`${JSON.stringify(setting)} of ${url} is not of the form key=value`);
    switch (key as (typeof keys)[number]) {
      case 'kv-events':
      case 'kv-replay':
        if (!/^(tcp:\/\/[^\s:]+:\d+|tcp:\/\/\[[^\s\]]+\]:\d+|ipc:\/\/\S+)$/.test(value)) {
          return wrong(`${key} of ${url} must be like tcp://127.0.0.1:5557, got ${JSON.stringify(value)}`);
        }
        spec = key === 'kv-events' ? { ...spec, kvEvents: value } : { ...spec, kvReplay: value };
        break;
      case 'api-key':
        if (!/^[\x21-\x7e]+$/.test(value)) return wrong(`api-key of ${url} has characters that no header may have`);
        spec = { ...spec, apiKey: value };
        break;
      case 'blocks':
      case 'block-size': {
        const number = Number(value);
        const max = key === 'blocks' ? 100_000_000 : 65_536;
        if (!Number.isInteger(number) || number < 1 || number > max) {
          return wrong(`${key} of ${url} must be an integer from 1 to ${max}, got ${JSON.stringify(value)}`);
        }
        spec = key === 'blocks' ? { ...spec, capacityBlocks: number } : { ...spec, blockSize: number };
        break;
      }
      case 'model':
        spec = { ...spec, model: value };
        break;
      default:
        return wrong(`${JSON.stringify(key)} of ${url} is unknown; allowed are ${keys.join(', ')}`);
    }
  }
  return { kind: 'spec', spec };
}

function parseHttpUrl(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return null;
  if (url.search !== '' || url.hash !== '' || url.username !== '') return null;
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

function wrong(message: string): EngineSpecResult {
  return { kind: 'wrong', message };
}
