// A row of the table of settings.

import type { SettingType } from './setting-type.ts';

export interface Setting<T = unknown> extends SettingType<T> {
  readonly description: string;
  /** `live`: a reload changes it. `restart`: only a restart changes it, and a reload says so. */
  readonly reload: 'live' | 'restart';
  /** Placeholder for the value in the help; empty for a switch or a secret. */
  readonly value: string;
}

export const live = <T>(type: SettingType<T>, value: string, description: string): Setting<T> => ({
  ...type,
  value,
  description,
  reload: 'live',
});

export const fixed = <T>(type: SettingType<T>, value: string, description: string): Setting<T> => ({
  ...type,
  value,
  description,
  reload: 'restart',
});
