// A fault in a setting.

/** `path` leads to the faulty part of a list or an object. */
export interface ConfigFault {
  readonly setting: string;
  readonly path: readonly (string | number)[];
  readonly message: string;
}
