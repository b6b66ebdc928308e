// Error responses of an engine, in vLLM's wording and format.

export interface ApiErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: number;
  };
}

/** An expected failure of a request, sent as status and body. */
export class ApiError extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | null;

  constructor(status: number, type: string, message: string, param: string | null = null) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.type = type;
    this.param = param;
  }

  body(): ApiErrorBody {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.status } };
  }
}

/** The body is not JSON, or a field has the wrong type. vLLM writes this type with a space. */
export function malformed(message: string, param: string | null = null): ApiError {
  return new ApiError(400, 'Bad Request', message, param);
}

/** The fields are valid but can't be served. */
export function unservable(message: string, param: string | null = null): ApiError {
  return new ApiError(400, 'BadRequestError', message, param);
}

export function unknownModel(model: string): ApiError {
  return new ApiError(404, 'NotFoundError', `The model \`${model}\` does not exist.`, 'model');
}

export function overloaded(unfinishedMax: number): ApiError {
  return new ApiError(
    503,
    'Service Unavailable',
    `The engine has its maximum of ${unfinishedMax} unfinished requests.`,
  );
}
