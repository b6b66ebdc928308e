// The files of ops/ for deployment: valid settings, times that fit together, and the tools that check them where they exist.

import { copyFileSync, existsSync, mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { resolveConfig } from '../../src/gateway/config/config.ts';
import { YamlFile } from '../../src/gateway/config/yaml-file.ts';
import { canRun, runProgram } from './debian-program.ts';

const ops = fileURLToPath(new URL('../../ops/', import.meta.url));
const text = (path: string): string => readFileSync(join(ops, path), 'utf8');
/** Of the environment: without keys the gateway does not listen beyond loopback. */
const keys = { apiKeys: ['client:0123456789abcdef'], adminKey: 'fedcba9876543210' };
const settingsOf = (path: string) => resolveConfig({ ...(YamlFile.parse(path, text(path)).value as object), ...keys });

describe.each(['kvoyant.yaml', 'kubernetes/kvoyant.yaml'])('ops/%s', (path) => {
  it('has valid settings, and a port for health probes', () => {
    expect(settingsOf(path)).toMatchObject({ host: '0.0.0.0', healthPort: 8002 });
  });
});

const stopMsOf = (path: string): number => {
  const { shutdownNoticeMs, shutdownGraceMs } = settingsOf(path);
  return shutdownNoticeMs + shutdownGraceMs;
};

describe('ops/compose.yaml', () => {
  const { services } = parse(text('compose.yaml')) as {
    services: Record<string, { volumes?: string[]; stop_grace_period?: string }>;
  };

  it('mounts files that exist', () => {
    const mounted = Object.values(services).flatMap(({ volumes = [] }) =>
      volumes.map((volume) => volume.split(':')[0]!),
    );
    expect(mounted.length).toBeGreaterThan(3);
    for (const path of mounted) expect(existsSync(join(ops, path)), path).toBe(true);
  });

  it('lets the gateway finish its answers', () => {
    expect(services['kvoyant']!.stop_grace_period).toBe('2m');
    expect(stopMsOf('kvoyant.yaml')).toBeLessThan(120_000);
  });
});

describe('ops/make-keys.sh', () => {
  it('makes keys that the gateway takes, readable by their owner, and never replaces them', () => {
    const folder = mkdtempSync(join(tmpdir(), 'kvoyant-keys-'));
    copyFileSync(join(ops, 'make-keys.sh'), join(folder, 'make-keys.sh'));
    expect(runProgram('sh', [join(folder, 'make-keys.sh')]).status).toBe(0);
    const lines = readFileSync(join(folder, 'keys', 'kvoyant.env'), 'utf8')
      .trim()
      .split('\n');
    const values = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]));
    const options = { workers: ['http://127.0.0.1:1'], host: '0.0.0.0' };
    const { KVOYANT_API_KEYS: apiKey, KVOYANT_ADMIN_KEY: adminKey, KVOYANT_VIEW_KEY: viewKey } = values;
    expect(() =>
      resolveConfig({ ...options, apiKeys: [apiKey!], adminKey: adminKey!, viewKey: viewKey! }),
    ).not.toThrow();
    expect(readFileSync(join(folder, 'keys', 'view-key'), 'utf8')).toBe(viewKey);
    expect(statSync(join(folder, 'keys', 'kvoyant.env')).mode & 0o077).toBe(0);
    expect(runProgram('sh', [join(folder, 'make-keys.sh')]).status).toBe(1);
  });
});

describe('ops/kvoyant.service', () => {
  it.skipIf(!canRun('systemd-analyze'))('is accepted by systemd and exposes little', () => {
    // The command is not installed here: /usr/bin/env stands before it, so that only the unit is judged.
    expect(runProgram('systemd-analyze', ['verify', join(ops, 'kvoyant.service')])).toEqual({ status: 0, output: '' });
    const exposed = ['security', '--offline=true', '--threshold=20', join(ops, 'kvoyant.service')];
    expect(runProgram('systemd-analyze', exposed).status).toBe(0);
  });

  it('gives the gateway time to finish its answers', () => {
    const [, seconds] = /^TimeoutStopSec=(\d+)$/m.exec(text('kvoyant.service'))!;
    expect(stopMsOf('kvoyant.yaml')).toBeLessThan(Number(seconds) * 1000);
  });
});

describe('ops/kubernetes', () => {
  const { spec } = (parse(text('kubernetes/deployment.yaml')) as { spec: { template: { spec: PodSpec } } }).spec
    .template;

  it('gives the gateway time to finish its answers', () => {
    expect(stopMsOf('kubernetes/kvoyant.yaml')).toBeLessThan(spec.terminationGracePeriodSeconds * 1000);
  });

  it('probes the port of the health thread', () => {
    const [container] = spec.containers;
    const { healthPort } = settingsOf('kubernetes/kvoyant.yaml');
    expect(container!.ports.find(({ name }) => name === 'health')?.containerPort).toBe(healthPort);
    for (const probe of [container!.startupProbe, container!.readinessProbe, container!.livenessProbe])
      expect(probe.httpGet.port).toBe('health');
  });

  it.skipIf(!canRun('kubectl'))('is put together by kustomize', () => {
    const { status, output } = runProgram('kubectl', ['kustomize', join(ops, 'kubernetes')]);
    expect(status).toBe(0);
    for (const kind of ['Deployment', 'Service', 'ConfigMap', 'PodDisruptionBudget', 'NetworkPolicy'])
      expect(output).toContain(`kind: ${kind}`);
  });
});

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

interface PodSpec {
  readonly terminationGracePeriodSeconds: number;
  readonly containers: readonly {
    readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
    readonly startupProbe: Probe;
    readonly readinessProbe: Probe;
    readonly livenessProbe: Probe;
  }[];
}

describe('ops/Dockerfile', () => {
  // Not in Debian.
  it.skipIf(!canRun('hadolint'))('has nothing that hadolint criticizes', () => {
    expect(runProgram('hadolint', [join(ops, 'Dockerfile')])).toEqual({ status: 0, output: '' });
  });

  it('copies only what the commands of the project make, and starts with valid flags', () => {
    const lines = text('Dockerfile').split('\n');
    const [command] = lines
      .filter((line) => line.startsWith('CMD ['))
      .map((line) => JSON.parse(line.slice(4)) as string[]);
    expect(command).toEqual([
      'serve',
      '--config',
      '/etc/kvoyant/kvoyant.yaml',
      '--host',
      '0.0.0.0',
      '--health-port',
      '8002',
    ]);
    expect(lines.filter((line) => line.startsWith('USER '))).toEqual(['USER 1000']);
  });
});
