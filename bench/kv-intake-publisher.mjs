// Publisher process of the intake bench: sends the payloads from its input in a loop, at a steady rate.
//
// Arguments: messages per second, seconds. Input: each payload preceded by its length (4 bytes, big-endian), then a
// length of 0, then any byte to start. Output: the address, and at the end the number of messages sent.

import { setTimeout as sleep } from 'node:timers/promises';
import { Publisher } from 'zeromq';

const [rate, seconds] = process.argv.slice(2).map(Number);
const publisher = new Publisher({ sendHighWaterMark: 1_000_000, linger: 0 });
await publisher.bind('tcp://127.0.0.1:*');
console.log(publisher.lastEndpoint);

const input = process.stdin[Symbol.asyncIterator]();
let bytes = Buffer.alloc(0);
async function take(length) {
  while (bytes.length < length) bytes = Buffer.concat([bytes, (await input.next()).value]);
  const taken = bytes.subarray(0, length);
  bytes = bytes.subarray(length);
  return taken;
}
const payloads = [];
for (let length = (await take(4)).readUInt32BE(); length > 0; length = (await take(4)).readUInt32BE()) {
  payloads.push(await take(length));
}
await take(1);

const start = performance.now();
const total = rate * seconds;
let sent = 0;
while (sent < total) {
  const due = Math.min(total, ((performance.now() - start) / 1000) * rate);
  for (; sent < due; sent++) {
    const seq = Buffer.alloc(8);
    seq.writeBigUInt64BE(BigInt(sent));
    await publisher.send(['', seq, payloads[sent % payloads.length]]);
  }
  await sleep(1);
}
console.log(sent);
for await (const _ of { [Symbol.asyncIterator]: () => input });
publisher.close();
