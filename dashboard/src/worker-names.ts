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

function parse(id: string): Place {
  const [, host = id, port = '', rank = ''] =
    /^\w+:\/\/(\[[^\]]+\]|[^:/#]+)(?::(\d+))?[^#]*(?:#(\d+))?$/.exec(id) ?? [];
  return { host, port, rank };
}

/** Of a name, its first label; an address stays whole. */
function firstLabel(host: string): string {
  return /^[\d.]+$/.test(host) || host.startsWith('[') ? host : host.split('.')[0]!;
}
