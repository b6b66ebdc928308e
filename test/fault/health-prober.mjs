// A process that asks /health every 50 ms, whether or not the last one has been answered; told to end, it prints figures.

import { Agent, get } from 'node:http';

const [url] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true });
const latenciesMs = [];
let failures = 0;

function probe() {
  const startMs = performance.now();
  const fail = () => {
    failures += 1;
  };
  get(`${url}/health`, { agent }, (response) => {
    if (response.statusCode !== 200) fail();
    response.resume().on('end', () => latenciesMs.push(performance.now() - startMs));
  }).on('error', fail);
}

const timer = setInterval(probe, 50);
console.log('probing');
process.on('SIGTERM', () => {
  clearInterval(timer);
  // However short the work was, there is a figure.
  probe();
  setTimeout(() => {
    const sorted = latenciesMs.toSorted((a, b) => a - b);
    const p99Ms = sorted[Math.ceil(sorted.length * 0.99) - 1];
    console.log(JSON.stringify({ count: sorted.length, failures, p99Ms }));
    process.exit(0);
  }, 500);
});
