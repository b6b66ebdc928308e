// The yardstick of the gateway bench: relays requests to the engines in turn on raw sockets, parsing each body once.
//
// Arguments: port, then the engines' URLs.

import { connect, createServer } from 'node:net';

const [port, ...urls] = process.argv.slice(2);
const engines = urls.map((url) => ({ port: Number(new URL(url).port), idle: [] }));
const headEnd = Buffer.from('\r\n\r\n');
const answerEnd = Buffer.from('0\r\n\r\n');
let turn = 0;

function upstream(engine) {
  const socket = engine.idle.pop();
  if (socket !== undefined) return socket;
  const fresh = connect({ port: engine.port, host: '127.0.0.1', noDelay: true });
  fresh.on('error', () => fresh.destroy());
  fresh.on('data', (bytes) => {
    fresh.client.write(bytes);
    // Every relayed answer is a stream with this end.
    if (!bytes.subarray(-answerEnd.length).equals(answerEnd)) return;
    fresh.client = null;
    engine.idle.push(fresh);
  });
  return fresh;
}

createServer({ noDelay: true }, (client) => {
  client.on('error', () => client.destroy());
  let parts = [];
  let length = 0;
  let expected = null;
  client.on('data', (part) => {
    parts.push(part);
    length += part.length;
    if (expected === null) {
      const bytes = Buffer.concat(parts);
      parts = [bytes];
      const end = bytes.indexOf(headEnd);
      if (end === -1) return;
      const head = bytes.toString('latin1', 0, end);
      expected = end + headEnd.length + Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    }
    if (length < expected) return;
    const request = Buffer.concat(parts);
    parts = [];
    length = 0;
    expected = null;
    JSON.parse(request.toString('utf8', request.indexOf(headEnd) + headEnd.length));
    const socket = upstream(engines[turn++ % engines.length]);
    socket.client = client;
    socket.write(request);
  });
}).listen({ port: Number(port), host: '127.0.0.1', backlog: 4096 });
