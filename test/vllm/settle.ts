// Waits until the gateway has received every KV event of every engine: those of an answer may come after its end.

import type { Stage } from './engine-under-test.ts';
import type { GatewayProcess } from './gateway-process.ts';
import { isLast } from './replay.ts';

const settleMsMax = 30_000;

/** @throws Error if it takes too long */
export async function settle(stage: Stage, gateway: GatewayProcess): Promise<void> {
  await gateway.until('all KV events have come', settleMsMax, async () => {
    const workers = await gateway.workers();
    const last = await Promise.all(
      stage.engines.map(({ url, replayEndpoint }) => {
        const seq = workers.find((worker) => worker.url === url)?.feed?.lastSeq;
        return seq !== undefined && isLast(replayEndpoint, seq);
      }),
    );
    return last.every(Boolean);
  });
}
