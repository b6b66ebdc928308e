export interface LockedPackage {
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly [more: string]: unknown;
}
export interface LockFile {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly description?: string;
}
export interface ReleasePackage {
  readonly key: string;
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly integrity: string;
  readonly inPage: boolean;
  readonly needs: readonly string[];
}
export interface BillOfMaterials {
  readonly components: readonly {
    readonly purl: string;
    readonly hashes: readonly { readonly alg: string; readonly content: string }[];
    readonly licenses: readonly object[];
    readonly 'bom-ref': string;
  }[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
  readonly [more: string]: unknown;
}
export const bundled: readonly string[];
export const allowedLicences: ReadonlySet<string>;
export function releasePackages(
  lock: LockFile,
  inPage?: readonly string[],
): { direct: string[]; packages: ReleasePackage[] };
export function billOfMaterials(manifest: Manifest, lock: LockFile): BillOfMaterials;
export function licenceList(manifest: Manifest, lock: LockFile, textOf: (name: string) => string): string;
export function writeBillOfMaterials(root: string, folder: string): void;
