// An address that no socket uses.

import { Publisher } from 'zeromq';

export async function freeEndpoint(): Promise<string> {
  const probe = new Publisher();
  await probe.bind('tcp://127.0.0.1:*');
  const free = probe.lastEndpoint!;
  await probe.unbind(free);
  probe.close();
  return free;
}
