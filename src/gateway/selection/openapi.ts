// The OpenAPI 3.1 description of the selection service, made from the shapes that bodies and answers are checked by.

import { z } from 'zod';
import { operationNames } from './operations.ts';
import * as shapes from './shapes.ts';

type Json = Readonly<Record<string, unknown>>;

const bodies = {
  PromptBody: shapes.promptBody,
  SelectBody: shapes.selectBody,
  ReserveBody: shapes.reserveBody,
  OutputBody: shapes.outputBody,
};
const answers = {
  Selected: shapes.selected,
  Reserved: shapes.reserved,
  Reservation: shapes.reservation,
  Deleted: shapes.deleted,
  Overlaps: shapes.overlaps,
  PotentialLoads: shapes.potentialLoads,
  Loads: shapes.loads,
  BatchResults: shapes.batchResults,
  Line: shapes.line,
  Error: shapes.errorBody,
};

let made: Json | null = null;

export function openApi(): Json {
  made ??= describe();
  return made;
}

function describe(): Json {
  const schemas = {
    ...mapValues(bodies, (shape) => schemaOf(shape, 'input')),
    ...mapValues(answers, (shape) => schemaOf(shape, 'output')),
    Operation: operationSchema(),
    BatchBody: {
      type: 'object',
      properties: { operations: { type: 'array', items: ref('Operation'), maxItems: shapes.batchOperationsMax } },
      required: ['operations'],
      additionalProperties: false,
    },
  };
  return {
    openapi: '3.1.0',
    info: {
      title: 'kvoyant selection service',
      version: '1',
      description:
        'The router without the proxy: which worker a request should go to, and the ledger of those in flight.',
    },
    security: [{ bearer: [] }, {}],
    paths: {
      '/select': { post: operation('select', 'Choose a worker; book nothing.', 'SelectBody', 'Selected', [429]) },
      '/reserve': {
        post: operation(
          'reserve',
          'Choose a worker and book the request there, in one step.',
          'ReserveBody',
          'Reserved',
          [409, 410, 429],
        ),
      },
      '/reservations/{id}/first-token': {
        parameters: [idParameter],
        post: operation('firstToken', 'The first token has come. Idempotent.', null, 'Reservation', [404, 410]),
      },
      '/reservations/{id}/output': {
        parameters: [idParameter],
        post: operation('output', 'Output tokens so far. Idempotent.', 'OutputBody', 'Reservation', [404, 410]),
      },
      '/reservations/{id}': {
        parameters: [idParameter],
        get: operation('show', 'Look at a reservation.', null, 'Reservation', [404, 410]),
        delete: {
          ...operation(
            'delete',
            'The request has ended. Idempotent; may come before the reservation.',
            null,
            'Deleted',
            [],
          ),
          parameters: queryParameters(),
        },
      },
      '/overlap': {
        post: operation('overlap', 'What each worker holds of a prompt.', 'PromptBody', 'Overlaps', []),
      },
      '/potential-loads': {
        post: operation(
          'potentialLoads',
          'The load of each worker, were the request placed there.',
          'SelectBody',
          'PotentialLoads',
          [],
        ),
      },
      '/loads': { get: operation('loads', 'The load of each worker now.', null, 'Loads', []) },
      '/batch': { post: operation('batch', 'Up to a hundred operations.', 'BatchBody', 'BatchResults', []) },
      '/connection': { post: lines() },
      '/openapi.json': {
        get: {
          operationId: 'openApi',
          summary: 'This description.',
          responses: { 200: { description: 'OpenAPI 3.1', content: { 'application/json': { schema: {} } } } },
        },
      },
    },
    components: {
      schemas,
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'An API key with selection: true, or the admin key. Without keys: this machine only.',
        },
      },
    },
  };
}

const idParameter = {
  name: 'id',
  in: 'path',
  required: true,
  schema: { type: 'string', pattern: '^[\\x21-\\x7e]{1,128}$' },
};

const errorTexts: Readonly<Record<number, string>> = {
  400: 'A field is wrong; param names it.',
  401: 'A key is missing or unknown.',
  403: 'The key does not allow it.',
  404: 'There is no such model or reservation.',
  409: 'The id is in use.',
  410: 'The reservation has ended; code and message say how.',
  413: 'The body is too large.',
  429: 'Every worker is full, or a limit is reached.',
  503: 'No worker can take it, or memory is used up.',
};

function operation(
  id: string,
  summary: string,
  body: string | null,
  answer: string,
  more: readonly number[],
): Json & { readonly responses: unknown } {
  const statuses = [...new Set([400, 401, 403, 404, 413, 503, ...more])].sort((a, b) => a - b);
  return {
    operationId: id,
    summary,
    ...(body !== null && { requestBody: { required: true, content: json(ref(body)) } }),
    responses: {
      200: { description: 'Done.', content: json(ref(answer)) },
      ...Object.fromEntries(
        statuses.map((status) => [status, { description: errorTexts[status], content: json(ref('Error')) }]),
      ),
    },
  };
}

function lines(): Json {
  const { responses, ...described } = operation('connection', 'One connection of many operations.', null, 'Line', []);
  const errors = responses as Json;
  const ndjson = (name: string): Json => ({
    'application/x-ndjson': { schema: { type: 'string' }, 'x-line-schema': ref(name) },
  });
  return {
    ...described,
    description:
      'The body brings a JSON object a line, as in a batch, each with an optional tag; the answer has a line for each, ' +
      'as they are ready. Both go on until one side ends. What was reserved here then ends.',
    requestBody: { required: true, content: ndjson('Operation') },
    responses: {
      ...errors,
      200: { description: 'A line for each operation.', content: ndjson('Line') },
    },
  };
}

/** An operation of a batch or a line: its name, its id, and the fields of its body. */
function operationSchema(): Json {
  return {
    type: 'object',
    properties: {
      op: { enum: operationNames },
      id: { type: 'string', description: 'Of the reservation.' },
      tag: { type: ['string', 'integer'], description: 'On a connection: comes back with the answer.' },
    },
    required: ['op'],
    description: 'Besides these the fields of the body, or of the query, of the route of the same name.',
  };
}

function queryParameters(): Json[] {
  const { properties } = schemaOf(shapes.deleteBody, 'input') as { readonly properties: Json };
  return Object.entries(properties).map(([name, schema]) => ({ name, in: 'query', required: false, schema }));
}

function json(schema: Json): Json {
  return { 'application/json': { schema } };
}

function ref(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}

function schemaOf(shape: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...schema } = z.toJSONSchema(shape, { io });
  return schema;
}

function mapValues<T>(values: Readonly<Record<string, T>>, map: (value: T) => Json): Json {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value)]));
}
