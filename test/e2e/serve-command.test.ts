import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serveCommand } from '../../src/cli/serve.ts';

let environment: NodeJS.ProcessEnv;
beforeEach(() => {
  environment = { ...process.env };
});
afterEach(() => {
  process.env = environment;
});

/** The command's error message. */
async function complaint(...args: string[]): Promise<string> {
  let said = '';
  const command = serveCommand().exitOverride();
  command.configureOutput({
    writeErr: (text) => {
      said += text;
    },
  });
  await expect(command.parseAsync(args, { from: 'user' })).rejects.toThrow();
  return said.trim();
}

function setVariable(name: string, value: string): void {
  process.env[name] = value;
}

const worker = ['--worker', 'http://127.0.0.1:1'];

describe('kvoyant serve', () => {
  it.each([
    [[], /--worker names no worker/],
    [['--worker', 'nowhere'], /--worker "nowhere" is no http/],
    [['--worker', 'http://a,speed=1'], /--worker "speed" of http:\/\/a is unknown; allowed are kv-events/],
    [[...worker, '--port', '70000'], /--port must be an integer from 0 to 65535/],
    [[...worker, '--port', 'x'], /--port must be an integer from 0 to 65535/],
    [[...worker, '--policy', 'best'], /--policy must be one of foresee, kv, round-robin/],
    [[...worker, '--block-size', '0'], /--block-size must be auto or an integer from 1 to 65536/],
    [[...worker, '--temperature', '-1'], /--temperature must be a number from 0/],
    [[...worker, '--log-level', 'loud'], /--log-level must be one of trace, debug/],
    [[...worker, '--tokenizer', '/no/such/tokenizer'], /\/no\/such\/tokenizer/],
    [[...worker, '--host', '0.0.0.0'], /--host 0.0.0.0 is open to other machines: set apiKeys, or allowOpen/],
    [[...worker, '--tls-cert-file', '/no/such.pem'], /--tls-key-file is missing/],
    [[...worker, '--workers-file', '/no/such.yaml'], /--workers-file \/no\/such.yaml can't be read/],
    [['--config', '/no/such.yaml'], /\/no\/such.yaml can't be read/],
    [[...worker, '--colour'], /unknown option '--colour'/],
  ])('refuses %j naming the flag and what is allowed', async (args, expected) => {
    expect(await complaint(...args)).toMatch(expected);
  });

  it('accepts environment variables in place of flags, and flags override them', async () => {
    setVariable('KVOYANT_WORKER', 'http://a:1 http://b:2,oops');
    expect(await complaint()).toMatch(/KVOYANT_WORKER "oops" of http:\/\/b:2/);
    setVariable('KVOYANT_PORT', '-5');
    expect(await complaint(...worker)).toMatch(/KVOYANT_PORT must be/);
    expect(await complaint(...worker, '--port', '0', '--seed', '-1')).toMatch(/^error: --seed must be/);
  });

  it('describes every flag and its default in the help', () => {
    const help = serveCommand().helpInformation().replace(/\s+/g, ' ');
    for (const option of serveCommand().options) {
      if (option.hidden) continue;
      expect(option.description).not.toBe('');
      expect(help).toContain(option.long!);
    }
    expect(help).toContain('--port <n> port to listen on; 0: any free one (default: 8000)');
    expect(help).toContain('--no-in-flight-credit do not count blocks');
    expect(help).not.toMatch(/--(api-keys|admin-key) /);
  });
});
