// nginx and haproxy with round robin: the cost of relaying alone. Taken from PATH, never installed.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import type { Contender, EngineAddress } from '../gateway/contender.ts';

interface Proxy {
  readonly program: string;
  readonly versionFlag: string;
  /** @param folder for its files */
  config(addresses: readonly string[], port: number, folder: string): string;
  command(configFile: string): readonly string[];
}

const proxies: readonly Proxy[] = [
  {
    program: 'nginx',
    versionFlag: '-v',
    config: (addresses, port, folder) => `daemon off; master_process off; worker_processes 1; pid ${folder}/pid;
error_log ${folder}/error.log;
events { worker_connections 16384; }
http {
  access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f;
  uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  client_max_body_size 64m; client_body_buffer_size 256k; keepalive_requests 1000000;
  upstream engines { ${addresses.map((address) => `server ${address};`).join(' ')} keepalive 512; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://engines; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
      proxy_read_timeout 600s;
    }
  }
}
`,
    command: (configFile) => ['nginx', '-c', configFile, '-e', '/dev/null'],
  },
  {
    program: 'haproxy',
    versionFlag: '-v',
    config: (addresses, port) => `global
  maxconn 4096
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend clients
  bind 127.0.0.1:${port}
  default_backend engines
backend engines
  balance roundrobin
  http-reuse always
${addresses.map((address, index) => `  server engine${index} ${address}`).join('\n')}
`,
    command: (configFile) => ['haproxy', '-f', configFile],
  },
];

/** Those on PATH. @param say told why a peer is left out */
export function proxyPeers(say: (line: string) => void): Contender[] {
  return proxies.flatMap((proxy) => {
    const version = versionOf(proxy);
    if (version === null) {
      say(`${proxy.program}: left out: it is not on PATH`);
      return [];
    }
    return [contenderOf(proxy, version)];
  });
}

function contenderOf(proxy: Proxy, version: string): Contender {
  return {
    name: `${proxy.program} ${version}`,
    about: 'engines in turn',
    command: (engines: readonly EngineAddress[], port) => {
      const folder = mkdtempSync(join(os.tmpdir(), 'kvoyant-peer-'));
      const file = join(folder, `${proxy.program}.conf`);
      writeFileSync(
        file,
        proxy.config(
          engines.map(({ url }) => new URL(url).host),
          port,
          folder,
        ),
      );
      return proxy.command(file);
    },
  };
}

/** Null: it can't be run. Programs print their version to either output. */
function versionOf({ program, versionFlag }: Proxy): string | null {
  try {
    const said = execFileSync('sh', ['-c', `${program} ${versionFlag} 2>&1`]).toString();
    return /\d+\.\d+(?:\.\d+)?/.exec(said)?.[0] ?? 'of unknown version';
  } catch {
    return null;
  }
}
