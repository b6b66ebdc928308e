// Dark or light: as the system prefers, unless this browser's user has chosen.

import { useEffect, useState } from 'preact/hooks';

export type Theme = 'dark' | 'light';

const storedName = 'kvoyant-theme';
const prefersLight = matchMedia('(prefers-color-scheme: light)');
const listeners = new Set<() => void>();
const colours = new Map<string, string>();

function chosen(): Theme | null {
  try {
    const value = localStorage.getItem(storedName);
    return value === 'dark' || value === 'light' ? value : null;
  } catch {
    return null;
  }
}

export function theme(): Theme {
  return chosen() ?? (prefersLight.matches ? 'light' : 'dark');
}

export function applyTheme(): void {
  document.documentElement.dataset['theme'] = theme();
  colours.clear();
  for (const listener of listeners) listener();
}

export function chooseTheme(value: Theme): void {
  try {
    localStorage.setItem(storedName, value);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
  document.documentElement.dataset['theme'] = value;
  colours.clear();
  for (const listener of listeners) listener();
}

prefersLight.addEventListener('change', applyTheme);

/** The theme in force. Renders again when it changes, so that canvases take the new colours. */
export function useTheme(): Theme {
  const read = (): Theme => (document.documentElement.dataset['theme'] === 'light' ? 'light' : 'dark');
  const [value, setValue] = useState(read);
  useEffect(() => {
    const update = (): void => setValue(read());
    listeners.add(update);
    return () => {
      listeners.delete(update);
    };
  }, []);
  return value;
}

/** A colour of the style sheet as canvases need it. @param name such as `--prompt` */
export function colourOf(name: string): string {
  const known = colours.get(name);
  if (known !== undefined) return known;
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  colours.set(name, color);
  return color;
}
