// A growing list of token ids, small at first: a body may have many short lists.

export class TokenList {
  length = 0;
  #ids: Uint32Array = new Uint32Array(64);

  push(id: number): void {
    if (this.length === this.#ids.length) {
      const grown = new Uint32Array(this.length * 2);
      grown.set(this.#ids);
      this.#ids = grown;
    }
    this.#ids[this.length++] = id;
  }

  end(): Uint32Array {
    return this.#ids.slice(0, this.length);
  }
}
