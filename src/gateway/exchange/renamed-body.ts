// The body of a request as an engine gets it: with the model's name there, where the client used another one.

import type { Span } from '../../wire/json-members.ts';
import { readMultipartModel } from '../../wire/multipart-model.ts';
import { RequestError } from '../../wire/openai-error.ts';
import { renameFormModel, renameJsonModel } from '../../wire/rename-model.ts';

/**
 * @param named the model that the body names; null: none
 * @param model the engine's name of it
 * @param at where the body names it, if that is known: looking for it takes as long as the body
 */
export function renamedJson(body: Buffer, named: string | null, model: string, at?: Span | null): Buffer {
  return named === null || named === model ? body : renameJsonModel(body, model, at);
}

/** The same for a multipart form. @throws RequestError 400 if the form can't carry the name */
export function renamedForm(body: Buffer, contentType: string | null, named: string | null, model: string): Buffer {
  if (named === null || named === model) return body;
  const reading = readMultipartModel(body, contentType);
  const renamed = reading.kind === 'wrong' ? body : renameFormModel(body, reading.span, model);
  const again = readMultipartModel(renamed, contentType);
  if (again.kind === 'model' && again.model === model) return renamed;
  throw new RequestError(400, 'invalid_body', `a form can't carry the model's name ${JSON.stringify(model)}`, 'model');
}
