// Prepares a chat's tools for a template as vLLM does: its own fields in its own order, and no others.

import { isJsonObject, type Json, type JsonObject } from './json-values.ts';
import { TokenizerError } from './tokenizer.ts';

/** @returns null if there are none @throws TokenizerError `message-invalid` where vLLM would refuse them */
export function prepareTools(given: Json): readonly JsonObject[] | null {
  if (given === null) return null;
  if (!Array.isArray(given)) throw invalid('tools must be a list', 'tools');
  const tools = (given as readonly Json[]).map((tool, index) => prepareTool(tool, `tools[${index}]`));
  return tools.length === 0 ? null : tools;
}

function prepareTool(tool: Json, field: string): JsonObject {
  const called = isJsonObject(tool) ? tool.get('function') : null;
  if (!isJsonObject(tool) || !isJsonObject(called) || (tool.get('type') ?? 'function') !== 'function') {
    throw invalid(`${field} must be an object of type function`, field);
  }
  if (tool.get('type') === null) throw invalid(`${field}.type must be "function"`, field);
  const deferred = flagOf(tool, 'defer_loading', field);
  const prepared = new Map<string, Json>([
    ['type', 'function'],
    ['function', prepareFunction(called, deferred, `${field}.function`)],
  ]);
  if (deferred !== null) prepared.set('defer_loading', deferred);
  return prepared;
}

function prepareFunction(called: JsonObject, deferred: boolean | null, field: string): JsonObject {
  const name = called.get('name');
  const description = called.get('description') ?? null;
  const parameters = called.get('parameters') ?? null;
  if (typeof name !== 'string') throw invalid(`${field}.name must be a string`, `${field}.name`);
  if (description !== null && typeof description !== 'string') {
    throw invalid(`${field}.description must be a string`, `${field}.description`);
  }
  if (parameters !== null && !isJsonObject(parameters)) {
    throw invalid(`${field}.parameters must be an object`, `${field}.parameters`);
  }
  const prepared = new Map<string, Json>([
    ['name', name],
    ['description', description],
    ['parameters', parameters],
  ]);
  const strict = flagOf(called, 'strict', field);
  if (strict !== null) prepared.set('strict', strict);
  const deferredHere = flagOf(called, 'defer_loading', field) ?? deferred;
  if (deferredHere !== null) prepared.set('defer_loading', deferredHere);
  return prepared;
}

function flagOf(object: JsonObject, name: string, field: string): boolean | null {
  const value = object.get(name) ?? null;
  if (value !== null && typeof value !== 'boolean') {
    throw invalid(`${field}.${name} must be true or false`, `${field}.${name}`);
  }
  return value;
}

function invalid(message: string, field: string): TokenizerError {
  return new TokenizerError('message-invalid', message, field);
}
