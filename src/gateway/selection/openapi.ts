// The OpenAPI 3.1 description of the selection service, made from the shapes that bodies and answers are checked by.

import { z } from 'zod';
import type { OperationName } from './operations.ts';
import { choiceQuery, promptQuery } from './query-fields.ts';
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
  Description: shapes.description,
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
      '/select': {
        post: operation('select', 'Choose a worker; book nothing.', ofPrompt, 'SelectBody', 'Selected'),
      },
      '/reserve': {
        post: operation(
          'reserve',
          'Choose a worker and book the request there, in one step.',
          [...ofPrompt, 409, 410],
          'ReserveBody',
          'Reserved',
        ),
      },
      '/reservations/{id}/first-token': {
        parameters: [idParameter],
        post: operation('firstToken', 'The first token has come. Idempotent.', ofReservation, null, 'Reservation'),
      },
      '/reservations/{id}/output': {
        parameters: [idParameter],
        post: operation(
          'output',
          'Output tokens so far. Idempotent.',
          [...ofReservation, 413],
          'OutputBody',
          'Reservation',
        ),
      },
      '/reservations/{id}': {
        parameters: [idParameter],
        get: operation('show', 'Look at a reservation.', ofReservation, null, 'Reservation'),
        delete: {
          ...operation(
            'delete',
            'The request has ended. Idempotent; may come before the reservation.',
            [400],
            null,
            'Deleted',
          ),
          parameters: queryParameters(),
        },
      },
      '/overlap': {
        get: looked('overlapByQuery', 'What each worker holds of a short prompt.', promptQuery, 'Overlaps'),
        post: operation('overlap', 'What each worker holds of a prompt.', ofPrompt, 'PromptBody', 'Overlaps'),
      },
      '/potential-loads': {
        get: looked(
          'potentialLoadsByQuery',
          'The load of each worker, were a request with this short prompt placed there.',
          choiceQuery,
          'PotentialLoads',
        ),
        post: operation(
          'potentialLoads',
          'The load of each worker, were the request placed there.',
          ofPrompt,
          'SelectBody',
          'PotentialLoads',
        ),
      },
      '/loads': { get: operation('loads', 'The load of each worker now.', [], null, 'Loads') },
      '/batch': { post: operation('batch', 'Up to a hundred operations.', [400, 413], 'BatchBody', 'BatchResults') },
      '/connection': { post: lines() },
      '/openapi.json': { get: operation('openApi', 'This description.', [], null, 'Description') },
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
  429: 'A limit is reached, of the key or of the service, or every worker is full.',
  503: 'No worker can take it, or memory is used up.',
  505: 'This needs HTTP/1.1.',
};

/** Statuses of errors that every route has. */
const ofEveryRoute = [401, 403, 429];
/** Those of routes that take a prompt, and of those that name a reservation. */
const ofPrompt = [400, 404, 413, 503];
const ofReservation = [400, 404, 410];

/** @param errors statuses, besides those of every route */
function operation(
  id: string,
  summary: string,
  errors: readonly number[],
  body: string | null,
  answer: string,
): Json & { readonly responses: Json } {
  const statuses = [...ofEveryRoute, ...errors].sort((a, b) => a - b);
  return {
    operationId: id,
    summary,
    ...(body !== null && { requestBody: { required: true, content: json(ref(body)) } }),
    responses: {
      200: { description: 'Done.', content: json(ref(answer)) },
      ...Object.fromEntries(
        statuses.map((status) => [status, { description: errorTexts[status], content: json(ref('Error')) }]),
      ),
      default: { description: 'Any other error, such as a limit of the listener.', content: json(ref('Error')) },
    },
  };
}

/** The same as the operation with a body, for what fits a query. */
function looked(id: string, summary: string, names: readonly string[], answer: string): Json {
  const { properties } = schemaOf(shapes.selectBody, 'input') as {
    readonly properties: Readonly<Record<string, Json>> & { readonly tokens: { readonly oneOf: readonly Json[] } };
  };
  return {
    ...operation(id, summary, [400, 404, 503], null, answer),
    parameters: names.map((name) => ({
      ...{ name, in: 'query', required: false },
      // Ids with commas: 1,2,3
      ...(name === 'tokens' && { style: 'form', explode: false }),
      schema: name === 'tokens' ? properties.tokens.oneOf[0] : properties[name],
    })),
  };
}

function lines(): Json {
  const { responses, ...described } = operation(
    'connection',
    'One connection of many operations.',
    [505],
    null,
    'Line',
  );
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
      ...responses,
      200: { description: 'A line for each operation.', content: ndjson('Line') },
    },
  };
}

/** An operation of a batch or a line: its name, its id, and the fields of its body or query. */
function operationSchema(): Json {
  const tag = { type: ['string', 'integer'], description: 'On a connection: comes back with the answer.' };
  const id = schemaOf(shapes.reservationId, 'input');
  const fieldsOf: Readonly<Record<OperationName, z.ZodObject>> = {
    select: shapes.selectBody,
    reserve: shapes.reserveBody,
    'first-token': shapes.noFields,
    output: shapes.outputBody,
    delete: shapes.deleteBody,
    show: shapes.noFields,
    overlap: shapes.promptBody,
    'potential-loads': shapes.selectBody,
  };
  const oneOf = Object.entries(fieldsOf).map(([name, shape]) => {
    const { properties, required = [] } = schemaOf(shape, 'input') as {
      readonly properties: Json;
      readonly required?: readonly string[];
    };
    const named = namesReservation.has(name);
    return {
      type: 'object',
      title: name,
      properties: { op: { const: name }, tag, ...(named && { id }), ...properties },
      required: ['op', ...(named ? ['id'] : []), ...required],
      additionalProperties: false,
    };
  });
  return { oneOf, discriminator: { propertyName: 'op' } };
}

/** Operations on a reservation that there is. */
const namesReservation: ReadonlySet<string> = new Set(['first-token', 'output', 'delete', 'show']);

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
