// Short names of workers: the parts that tell their addresses apart.

interface Place {
  readonly host: string;
  readonly port: string;
  readonly rank: string;
}

/**
 * `http://127.0.0.1:8100#0` among others of one host is `:8100`; `http://vllm-0.vllm:8000#1` is `vllm-0#1`. The rank
 * stands only where some engine has several.
 * @returns short name by id; unique
 */
export function shortNames(ids: readonly string[]): ReadonlyMap<string, string> {
  const places = ids.map(parse);
  const portsOf = new Map<string, Set<string>>();
  for (const { host, port } of places) portsOf.set(host, (portsOf.get(host) ?? new Set()).add(port));
  const hosts = [...portsOf.keys()];
  const labelsSuffice = new Set(hosts.map(firstLabel)).size === hosts.length;
  const isRanked = places.some(({ rank }) => rank !== '' && rank !== '0');
  const names = new Map<string, string>();
  const taken = new Set<string>();
  for (const [at, { host, port, rank }] of places.entries()) {
    const hasManyPorts = portsOf.get(host)!.size > 1;
    const hostName = labelsSuffice ? firstLabel(host) : host;
    const place = (hosts.length === 1 && hasManyPorts ? '' : hostName) + (hasManyPorts ? `:${port}` : '');
    const name = isRanked && rank !== '' ? `${place}#${rank}` : place;
    names.set(ids[at]!, taken.has(name) ? ids[at]! : name);
    taken.add(name);
  }
  return names;
}

export interface NamedFleet {
  readonly ids: readonly string[];
  /** An id that is not in the fleet any more stays as it is. Always the same function for the same fleet. */
  readonly nameOf: (id: string) => string;
}

/** Keeps the names of the latest fleet, since each row of a list asks for them. */
export class NameBook {
  #workers: readonly { readonly id: string }[] = [];
  #fleet: NamedFleet = namedFleet([]);

  /** O(1) for the same array, O(workers) for the same ids. */
  of(workers: readonly { readonly id: string }[]): NamedFleet {
    if (workers === this.#workers) return this.#fleet;
    this.#workers = workers;
    const { ids } = this.#fleet;
    if (workers.length !== ids.length || workers.some(({ id }, at) => id !== ids[at])) {
      this.#fleet = namedFleet(workers.map(({ id }) => id));
    }
    return this.#fleet;
  }
}

function namedFleet(ids: readonly string[]): NamedFleet {
  const names = shortNames(ids);
  return { ids, nameOf: (id) => names.get(id) ?? id.replace(/^\w+:\/\//, '') };
}

function parse(id: string): Place {
  const [, host = id, port = '', rank = ''] =
    /^\w+:\/\/(\[[^\]]+\]|[^:/#]+)(?::(\d+))?[^#]*(?:#(\d+))?$/.exec(id) ?? [];
  return { host, port, rank };
}

/** Of a name, its first label; an address stays whole. */
function firstLabel(host: string): string {
  return /^[\d.]+$/.test(host) || host.startsWith('[') ? host : host.split('.')[0]!;
}
