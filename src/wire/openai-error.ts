// The error envelope of the OpenAI API, used for every error to a client.

export interface OpenAiErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | number | null;
  };
}

const typesOfStatus: ReadonlyMap<number, string> = new Map([
  [401, 'authentication_error'],
  [403, 'permission_error'],
  [429, 'rate_limit_error'],
]);

/** Longer messages and names of fields are cut: they quote what the client or an engine sent. */
const messageCharsMax = 2000;
const paramCharsMax = 256;

/** An expected failure of a request, with the status and envelope for the client. */
export class RequestError extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  readonly code: string;
  /** When the client may retry; null if unknown. */
  readonly retryAfterS: number | null;
  /** Added to the answer. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    param: string | null = null,
    retryAfterS: number | null = null,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(cut(message, messageCharsMax));
    this.name = 'RequestError';
    this.status = status;
    this.code = code;
    this.param = param === null ? null : cut(param, paramCharsMax);
    this.retryAfterS = retryAfterS;
    this.headers = headers;
    this.type = status >= 500 ? 'server_error' : (typesOfStatus.get(status) ?? 'invalid_request_error');
  }

  body(): OpenAiErrorBody {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.code } };
  }
}

function cut(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax)} ...`;
}
