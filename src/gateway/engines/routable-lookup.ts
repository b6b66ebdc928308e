// DNS lookup of engine names that refuses addresses no worker may have.

import type { LookupAddress, LookupAllOptions } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { isLinkLocal } from '../config/link-local.ts';

type LookUpAll = (
  hostName: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * Checked for each connection, since a name may lead elsewhere by then.
 * @param lookUp like that of `node:dns`
 */
export function routableOnly(lookUp: LookUpAll): LookupFunction {
  return (hostName, options, callback) => {
    lookUp(hostName, { ...options, all: true }, (error, addresses) => {
      const refused = error === null ? addresses.find(({ address }) => isLinkLocal(address)) : undefined;
      if (error !== null) callback(error, []);
      else if (refused !== undefined) callback(new LinkLocalName(hostName, refused.address), []);
      else if (options.all === true) callback(null, addresses);
      else callback(null, addresses[0]!.address, addresses[0]!.family);
    });
  };
}

class LinkLocalName extends Error {
  override readonly name = 'LinkLocalName';
  readonly code = 'EHOSTUNREACH';

  constructor(hostName: string, address: string) {
    super(
      `${hostName} leads to the link-local address ${address}, where clouds keep credentials; allowLinkLocal allows it`,
    );
  }
}
