// The container image without a container runtime: the instructions of its Dockerfile are carried out in folders, and its
// command runs in a sandbox as the image would: a user without rights, nothing to write to but /tmp.
//
// `npm run test:image` also carries out the stage that builds, which takes minutes; else the build that is here is used.

import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { debianProgram } from './debian-program.ts';
import { isIgnored, listIn, readDockerfile, type Stage } from './dockerfile.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const isFull = process.env['KVOYANT_IMAGE'] === 'full';
const buildMsMax = 1_200_000;
const stages = readDockerfile(readFileSync(`${root}ops/Dockerfile`, 'utf8'));
const [building, last] = stages as [Stage, Stage];
const bwrap = sandbox();

/** Null: processes can't be put into namespaces here. */
function sandbox(): string | null {
  const program = debianProgram('bwrap', 'bubblewrap');
  if (program === null) return null;
  const { status } = spawnSync(program, ['--ro-bind', '/', '/', '--unshare-user', '--unshare-net', 'true']);
  if (status !== 0) console.warn('left out: bwrap may not make namespaces here');
  return status === 0 ? program : null;
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kvoyant-image-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Files of the build's context: those under version control that .dockerignore leaves. */
function contextFiles(): readonly string[] {
  const patterns = readFileSync(`${root}ops/Dockerfile.dockerignore`, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  // Also new files that are not committed yet.
  const args = ['ls-files', '--cached', '--others', '--exclude-standard'];
  const files = execFileSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 16 * 1024 * 1024 });
  return files.split('\n').filter((path) => path !== '' && !isIgnored(path, patterns));
}

/** Carries out the stage that builds. */
function build(to: string): void {
  mkdirSync(to);
  const files = contextFiles();
  for (const { name, text } of building.instructions) {
    if (name === 'COPY') {
      const sources = text.split(' ').slice(0, -1);
      for (const path of files) {
        if (!sources.includes('.') && !sources.includes(path)) continue;
        mkdirSync(join(to, dirname(path)), { recursive: true });
        cpSync(join(root, path), join(to, path));
      }
    } else if (name === 'RUN') {
      const { status, stdout, stderr } = spawnSync('sh', ['-c', text], { cwd: to, encoding: 'utf8' });
      expect(status, `${text}\n${stdout}${stderr}`).toBe(0);
    } else expect(name).toBe('WORKDIR');
  }
}

interface Image {
  /** Paths in the image, and what is there. */
  readonly files: ReadonlyMap<string, string>;
  readonly workdir: string;
  readonly user: string;
  readonly environment: readonly string[];
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly healthcheck: readonly string[];
}

/** @param built folder of the stage that builds */
function imageOf(built: string): Image {
  const files = new Map<string, string>();
  const image = { workdir: '/', user: '0', environment: [] as string[] };
  const lists: Record<string, readonly string[]> = {};
  for (const instruction of last.instructions) {
    const { name, text } = instruction;
    if (name === 'WORKDIR') image.workdir = text;
    else if (name === 'USER') image.user = text;
    else if (name === 'ENV') image.environment.push(text);
    else if (name === 'COPY') {
      const [from, ...paths] = text.split(' ');
      expect(from).toBe(`--from=${building.name}`);
      const target = paths.pop()!;
      for (const path of paths) {
        expect(path.startsWith('/build/')).toBe(true);
        const own = path.slice('/build/'.length);
        files.set(join(image.workdir, target === './' ? own : target), join(built, own));
      }
    } else if (name === 'CMD' || name === 'ENTRYPOINT' || name === 'HEALTHCHECK') lists[name] = listIn(instruction);
    else expect(name).toBe('EXPOSE');
  }
  const { ENTRYPOINT: entrypoint, CMD: command, HEALTHCHECK: healthcheck } = lists as Record<string, string[]>;
  return { ...image, files, entrypoint: entrypoint!, command: command!, healthcheck: healthcheck! };
}

/** Runs a program in the image, in a network of its own. @returns its output */
function runIn(image: Image, mounted: ReadonlyMap<string, string>, script: string): { status: number; output: string } {
  const { user, workdir, environment, files } = image;
  const own = dirname(process.execPath);
  const args = [
    ...['--tmpfs', '/', '--proc', '/proc', '--dev', '/dev'],
    ...['/usr', '/lib', '/lib64', '/bin', own].flatMap((path) => ['--ro-bind-try', path, path]),
    ...[...files, ...mounted].flatMap(([to, from]) => ['--ro-bind', from, to]),
    ...['--tmpfs', '/tmp', '--remount-ro', '/', '--chdir', workdir],
    ...['--unshare-all', '--die-with-parent', '--uid', user, '--gid', user, '--clearenv'],
    ...['--setenv', 'PATH', `${own}:/usr/bin:/bin`, '--setenv', 'HOME', '/tmp'],
    ...environment.flatMap((text) => ['--setenv', ...text.split('=', 2)]),
    ...['sh', '-c', script],
  ];
  const { status, stdout, stderr } = spawnSync(bwrap!, args, { encoding: 'utf8', timeout: 120_000 });
  return { status: status ?? -1, output: stdout + stderr };
}

/** As compose starts it, at another port: here gateway and engine share a network. */
function engineCommand(): readonly string[] {
  const compose = parse(readFileSync(`${root}ops/compose.yaml`, 'utf8')) as {
    readonly services: Readonly<Record<string, { readonly command: readonly string[] }>>;
  };
  const { command } = compose.services['engine-0']!;
  expect(command.at(-1)).toBe('8000');
  return [...command.slice(0, -1), '9001'];
}

const quoted = (words: readonly string[]): string =>
  words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');

/** What a user of the compose file does: an engine of the same image, the gateway, a check of its health, a request. */
function scriptOf({ entrypoint, command, healthcheck }: Image): string {
  const ask = `
    const url = 'http://127.0.0.1:8000/v1';
    const headers = { authorization: 'Bearer client-key-0123456789', 'content-type': 'application/json' };
    const models = async (more) => (await fetch(url + '/models', more)).status;
    const chat = async () => {
      const body = JSON.stringify({ model: 'sim-llama-3.1-8b', messages: [{ role: 'user', content: 'Hello' }], max_tokens: 4 });
      return (await fetch(url + '/chat/completions', { method: 'POST', headers, body })).status;
    };
    (async () => {
      let status = 0;
      for (let i = 0; i < 200 && status !== 200; i++) {
        status = await chat();
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      console.log('chat', status, 'models', await models({ headers }), 'without a key', await models());
    })();`;
  return `
    export KVOYANT_API_KEYS=client:client-key-0123456789 KVOYANT_ADMIN_KEY=admin-key-0123456789
    export KVOYANT_WORKER=http://127.0.0.1:9001 KVOYANT_SHUTDOWN_NOTICE_MS=0
    touch /kvoyant/x /etc/kvoyant/x 2>/dev/null || echo nothing can be written
    id -u
    ${quoted(entrypoint)} ${quoted(engineCommand())} >/tmp/engine 2>&1 & engine=$!
    ${quoted(entrypoint)} ${quoted(command)} >/tmp/gateway 2>&1 & gateway=$!
    tries=0
    until ${quoted(healthcheck)}; do
      tries=$((tries + 1))
      if [ $tries = 60 ]; then cat /tmp/gateway; exit 1; fi
      sleep 0.5
    done
    echo healthy
    node -e ${quoted([ask])}
    kill -TERM $gateway; wait $gateway; echo gateway ended with $?
    ${quoted(healthcheck)} || echo no longer healthy
    kill -TERM $engine; wait $engine; echo engine ended with $?`;
}

it.skipIf(bwrap === null)(
  'runs as it is described: without rights, without anything to write to, healthy, and ends in order',
  () => {
    const built = join(folder, 'build');
    if (isFull) build(built);
    const image = imageOf(isFull ? built : root);
    const config = join(folder, 'kvoyant.yaml');
    writeFileSync(config, readFileSync(`${root}ops/kvoyant.yaml`));
    const { status, output } = runIn(image, new Map([['/etc/kvoyant/kvoyant.yaml', config]]), scriptOf(image));
    expect(output.trim().split('\n')).toEqual([
      ...['nothing can be written', image.user, 'healthy'],
      'chat 200 models 200 without a key 401',
      ...['gateway ended with 0', 'no longer healthy', 'engine ended with 0'],
    ]);
    expect(status).toBe(0);
    expect(image.user).toBe('1000');
  },
  buildMsMax,
);
