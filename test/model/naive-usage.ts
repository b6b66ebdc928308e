// Naive twins of requesting and hiding usage: they parse whole texts.

type Fields = Readonly<Record<string, unknown>>;

const isOff = (value: unknown): boolean => value === undefined || value === null || value === false;
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @returns the body's value with a request for usage; null: the body stays unchanged */
export function askNaively(body: Fields): Fields | null {
  const options = body['stream_options'] ?? {};
  if (!isFields(options) || !isOff(options['include_usage']) || !isOff(options['continuous_usage_stats'])) return null;
  return { ...body, stream_options: { ...options, include_usage: true } };
}

/** The stream (one character per byte) without its first complete event that has usage and no choices. */
export function hideNaively(stream: string, eventBytesMax: number): string {
  let event = '';
  let before = '';
  for (const line of stream.split(/(?<=\n)/)) {
    event += line;
    if (line !== '\n' && line !== '\r\n') continue;
    if (event.length <= eventBytesMax && isUsage(event)) return before + stream.slice(before.length + event.length);
    before += event;
    event = '';
  }
  return stream;
}

function isUsage(event: string): boolean {
  const data = event
    .split(/\r?\n/)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(line[5] === ' ' ? 6 : 5))
    .join('\n');
  try {
    const { choices, usage, error } = JSON.parse(data) as { choices: unknown[]; usage: Fields; error?: unknown };
    return Array.isArray(choices) && choices.length === 0 && typeof usage['prompt_tokens'] === 'number' && !error;
  } catch {
    return false;
  }
}
