// Which certificates operators may show instead of a key, and what they may do with them.

export type OperatorRole = 'admin' | 'view';

export class OperatorCertificates {
  readonly #admins: ReadonlySet<string>;
  readonly #viewers: ReadonlySet<string>;

  /** Names in the form of `certificateName`. */
  constructor(admins: readonly string[] = [], viewers: readonly string[] = []) {
    this.#admins = new Set(admins);
    this.#viewers = new Set(viewers);
  }

  /** @param names of the certificate; null: none was shown @returns the higher of several roles; null: none */
  roleOf(names: readonly string[] | null): OperatorRole | null {
    if (names?.some((name) => this.#admins.has(name))) return 'admin';
    return names?.some((name) => this.#viewers.has(name)) ? 'view' : null;
  }
}
