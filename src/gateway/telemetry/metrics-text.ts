// The metrics as text, made in slices of a few milliseconds: with a thousand workers it has millions of characters.

import type { Registry } from 'prom-client';
import type { TurnSlices } from '../exchange/turn-slices.ts';
import type { Family, MetricsForm } from './metrics-form.ts';

/** Characters of a piece, which takes about a millisecond. */
const pieceCharsMin = 65_536;

export class MetricsText {
  readonly #registry: Registry;
  readonly #slices: TurnSlices;
  /** Texts that are being made. */
  readonly #making = new Map<MetricsForm, Promise<readonly string[]>>();

  constructor(registry: Registry, slices: TurnSlices) {
    this.#registry = registry;
    this.#slices = slices;
  }

  /**
   * Reads each family in one step, but not all in the same. Scrapes at the same time share one text.
   * @returns the text in pieces
   */
  pieces(form: MetricsForm): Promise<readonly string[]> {
    let making = this.#making.get(form);
    if (making === undefined) {
      making = this.#make(form).finally(() => this.#making.delete(form));
      this.#making.set(form, making);
    }
    return making;
  }

  async #make({ head, line, between, end }: MetricsForm): Promise<readonly string[]> {
    const pieces: string[] = [];
    let text = '';
    let separator = '';
    // What the registry's types do not tell.
    const metrics = this.#registry.getMetricsAsArray() as unknown as readonly { get(): Family | Promise<Family> }[];
    for (const metric of metrics) {
      await this.#slices.take();
      const family = await metric.get();
      text += separator + head(family);
      separator = between;
      for (const sample of family.values) {
        text += line(sample, family);
        if (text.length < pieceCharsMin) continue;
        pieces.push(text);
        text = '';
        await this.#slices.take();
      }
    }
    pieces.push(text + end);
    return pieces;
  }
}
