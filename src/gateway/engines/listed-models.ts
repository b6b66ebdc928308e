// Parses an engine's answer to `/v1/models`: the models that it serves.

import { descriptionDepthMax, descriptionLengthMax, modelIdLengthMax, modelsMax } from './engine-limits.ts';
import { quoted, type Remarks } from './remarks.ts';

export interface ModelEntry {
  readonly id: string;
  /** The base model of a LoRA adapter. */
  readonly parent: string | null;
  readonly description: ModelDescription;
}

/** A model as an engine describes it; it may have further fields. */
export interface ModelDescription {
  readonly id: string;
  readonly parent?: unknown;
  readonly max_model_len?: unknown;
  readonly owned_by?: unknown;
}

/** In the engine's order, without duplicates. */
export function readModels(data: readonly unknown[], remarks: Remarks): ModelEntry[] {
  const models = new Map<string, ModelEntry>();
  for (const value of data) {
    if (models.size >= modelsMax) {
      remarks.add(`/v1/models lists more than ${modelsMax} models: the others are ignored`);
      break;
    }
    const model = readModel(value, remarks);
    if (model !== null && !models.has(model.id)) models.set(model.id, model);
  }
  return [...models.values()];
}

function readModel(value: unknown, remarks: Remarks): ModelEntry | null {
  if (typeof value !== 'object' || value === null || typeof (value as { id?: unknown }).id !== 'string') {
    remarks.add('/v1/models lists an entry that is not a model');
    return null;
  }
  const model = value as ModelDescription;
  if (model.id.length === 0 || model.id.length > modelIdLengthMax) {
    remarks.add(`/v1/models has a name of ${model.id.length} characters: 1 to ${modelIdLengthMax} can be used`);
    return null;
  }
  const parent = typeof model.parent === 'string' && model.parent.length <= modelIdLengthMax ? model.parent : null;
  return { id: model.id, parent, description: shownDescription(model, remarks) };
}

/** Clients get the description unchanged, so it must be possible to serialize it. */
function shownDescription(model: ModelDescription, remarks: Remarks): ModelDescription {
  if (isShallow(model, descriptionDepthMax) && JSON.stringify(model).length <= descriptionLengthMax) return model;
  remarks.add(`/v1/models describes ${quoted(model.id)} at too great a length: only its main fields are passed on`);
  const { id, max_model_len: contextTokens } = model;
  return {
    id,
    object: 'model',
    ...(typeof contextTokens === 'number' && { max_model_len: contextTokens }),
  } as ModelDescription;
}

function isShallow(value: unknown, depthMax: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depthMax > 0 && Object.values(value).every((inner) => isShallow(inner, depthMax - 1));
}
