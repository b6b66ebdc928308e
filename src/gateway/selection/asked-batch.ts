// The operations of a batch, as its body has them.

import { isJsonObject, type Json } from '../../tokens/json-values.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import { type Fields, invalid, ObjectFields } from '../inference/request-fields.ts';
import { type Asked, AskedHere } from './asked.ts';
import { batchOperationsMax } from './shapes.ts';

/**
 * @returns null in place of what is no object
 * @throws RequestError 400 if the body is no batch, 413 if it has too many
 */
export function batchOf(fields: Fields): (Asked | null)[] {
  for (const name of fields.names())
    if (name !== 'operations') throw invalid(name, `${name} is not a field of a batch`);
  const list = fields.value('operations');
  if (!Array.isArray(list) || list.length === 0) throw invalid('operations', 'operations must be a list');
  if (list.length > batchOperationsMax) {
    const message = `operations has ${list.length} operations; at most ${batchOperationsMax} go in a batch`;
    throw new LimitReached('batchOperationsMax', 413, 'batch_too_large', message);
  }
  return (list as Json[]).map((one) => (isJsonObject(one) ? new AskedHere(new ObjectFields(one)) : null));
}
