import { appendFileSync, readFileSync, statSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { type Logger, pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BlockHasher } from '../../../src/core/index.ts';
import { ConfigError, resolveConfig } from '../../../src/gateway/config/config.ts';
import { environmentName, flagName } from '../../../src/gateway/config/setting-texts.ts';
import { settings } from '../../../src/gateway/config/settings.ts';
import type { PromptContent } from '../../../src/gateway/prompts/prompt-content.ts';
import { type LineFile, RecordingFile } from '../../../src/gateway/telemetry/recording-file.ts';
import {
  type LineFate,
  openTrafficRecorder,
  type RecordedExchange,
  type RecordedIntake,
  TrafficRecorder,
} from '../../../src/gateway/telemetry/traffic-recorder.ts';
import { readWorkload } from '../../../src/trace/read-workload.ts';
import { decodeRequest, RequestRecorder } from '../../../src/trace/recorder.ts';
import type { Workload } from '../../../src/trace/workload.ts';
import { TemporaryFolder } from '../temporary-folder.ts';

const blockTokens = 16;
const hasher = new BlockHasher();

/** A file whose appends complete when the test says so. */
class SlowFile implements LineFile {
  readonly lines: string[] = [];
  closed = false;
  #waiting: { readonly bytes: Uint8Array; settle(error: Error | null): void } | null = null;

  append(bytes: Uint8Array): Promise<void> {
    expect(this.#waiting).toBeNull();
    return new Promise((resolve, reject) => {
      this.#waiting = { bytes, settle: (error) => (error === null ? resolve() : reject(error)) };
    });
  }

  /** Completes the pending append. */
  async settle(error: Error | null = null): Promise<void> {
    const { bytes, settle } = this.#waiting!;
    this.#waiting = null;
    if (error === null) this.lines.push(...Buffer.from(bytes).toString().trimEnd().split('\n'));
    settle(error);
    await new Promise((resolve) => setImmediate(resolve));
  }

  get isBusy(): boolean {
    return this.#waiting !== null;
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

const tokens = (length: number, from = 0): PromptContent => ({
  kind: 'tokens',
  tokens: Uint32Array.from({ length }, (_, at) => from + at),
});

const done = (outputTokens: number | null, promptTokens: number | null = null): RecordedExchange['record'] => ({
  outcome: 'done',
  outputTokens,
  usage: promptTokens === null ? null : { promptTokens, completionTokens: outputTokens ?? 0, cachedTokens: null },
});

const intake = (contents: readonly PromptContent[], more: Partial<RecordedIntake> = {}): RecordedIntake => ({
  pool: { name: 'a', lengthGuess: { bytesPerToken: 4, tokensPerPart: 100 } },
  lora: null,
  request: { sequences: 1, cacheSalt: null },
  contents,
  ...more,
});

let fates: Record<LineFate, number>;
let logged: { readonly level: number; readonly msg: string }[];
let log: Logger;
beforeEach(() => {
  fates = { written: 0, 'buffer-full': 0, 'write-failed': 0 };
  logged = [];
  const lines = new Writable({
    write(line: Buffer, _encoding, callback) {
      logged.push(JSON.parse(line.toString()));
      callback();
    },
  });
  log = pino({ level: 'trace' }, lines);
});

const options = () => ({
  hasher,
  log,
  onLines: (fate: LineFate, count: number) => {
    fates[fate] += count;
  },
});

describe('a recorder over a slow disk', () => {
  let file: SlowFile;
  beforeEach(() => {
    file = new SlowFile();
  });
  const recorderOf = (bufferBytesMax = 1e6) =>
    new TrafficRecorder(file, new RequestRecorder(blockTokens), 1000, { ...options(), bufferBytesMax });
  const written = () => file.lines.map((line) => decodeRequest('here', line, blockTokens));

  it('writes the lines that arrived during a write in one piece', async () => {
    const recorder = recorderOf();
    for (const [at, length] of [40, 20, 33].entries()) {
      recorder.record({ startedMs: 1000 + at, record: done(7) }, intake([tokens(length)]));
    }
    expect(file.isBusy).toBe(true);
    await file.settle();
    expect(written().map(({ isl }) => isl)).toEqual([40]);
    await file.settle();
    expect(file.isBusy).toBe(false);
    expect(written()).toEqual([
      { arrivalMs: 0, isl: 40, osl: 7, blockIds: Int32Array.of(0, 1), cancelled: false },
      { arrivalMs: 1, isl: 20, osl: 7, blockIds: Int32Array.of(0), cancelled: false },
      { arrivalMs: 2, isl: 33, osl: 7, blockIds: Int32Array.of(0, 1), cancelled: false },
    ]);
    expect(fates).toEqual({ written: 3, 'buffer-full': 0, 'write-failed': 0 });
    await recorder.close();
    expect(file.closed).toBe(true);
    recorder.record({ startedMs: 1003, record: done(1) }, intake([tokens(16)]));
    expect(file.isBusy).toBe(false);
  });

  it('drops lines beyond its buffer, counts them, logs it once, and continues', async () => {
    const recorder = recorderOf(300);
    const record = () => recorder.record({ startedMs: 1000, record: done(1) }, intake([tokens(16)]));
    for (let i = 0; i < 10; i++) record();
    const lost = fates['buffer-full'];
    expect(lost).toBeGreaterThan(4);
    await file.settle();
    await file.settle();
    expect(fates).toEqual({ written: 10 - lost, 'buffer-full': lost, 'write-failed': 0 });
    for (let i = 0; i < 10; i++) record();
    expect(fates['buffer-full']).toBe(2 * lost);
    await file.settle();
    await file.settle();
    expect(file.lines).toHaveLength(2 * (10 - lost));
    expect(logged.filter(({ msg }) => msg.includes('too slow'))).toHaveLength(1);
  });

  it('continues after the disk failed, and logs the first failure and the end of them', async () => {
    const recorder = recorderOf();
    const record = () => recorder.record({ startedMs: 1000, record: done(1) }, intake([tokens(16)]));
    for (let i = 0; i < 3; i++) {
      record();
      await file.settle(new Error('ENOSPC: no space left'));
    }
    record();
    await file.settle();
    expect(fates).toEqual({ written: 1, 'buffer-full': 0, 'write-failed': 3 });
    expect(logged.map(({ level, msg }) => [level, msg])).toEqual([
      [50, 'writing to the recording failed: lines are lost'],
      [40, 'writing to the recording works again'],
    ]);
  });

  it('writes a line for each sequence of each prompt, with shares of the output that add up', async () => {
    const recorder = recorderOf();
    const request = { sequences: 2, cacheSalt: null };
    recorder.record({ startedMs: 1000, record: done(11) }, intake([tokens(32), tokens(17, 500)], { request }));
    await file.settle();
    if (file.isBusy) await file.settle();
    expect(written().map(({ isl, osl, blockIds }) => [isl, osl, [...blockIds]])).toEqual([
      [32, 2, [0, 1]],
      [32, 3, [0, 1]],
      [17, 3, [2]],
      [17, 3, [2]],
    ]);
  });

  it.each([
    ['the client left', { outcome: 'aborted', outputTokens: 3, usage: null }, 3],
    ['the engine failed', { outcome: 'failed', outputTokens: null, usage: null }, 0],
    ['no worker took it', null, 0],
  ] as const)('records as cancelled what ended because %s', async (_, record, osl) => {
    const recorder = recorderOf();
    recorder.record({ startedMs: 1000, record }, intake([tokens(16)]));
    await file.settle();
    expect(written()).toMatchObject([{ isl: 16, osl, cancelled: true }]);
  });

  it('separates the blocks of models, adapters and salts', async () => {
    const recorder = recorderOf();
    const pool = (name: string) => ({ name, lengthGuess: { bytesPerToken: 4, tokensPerPart: 100 } });
    for (const more of [
      {},
      { pool: pool('b') },
      { lora: 'x' },
      { request: { sequences: 1, cacheSalt: 's' } },
      { pool: pool('a') },
    ]) {
      recorder.record({ startedMs: 1000, record: done(1) }, intake([tokens(16)], more));
    }
    await file.settle();
    await file.settle();
    expect(written().map(({ blockIds }) => [...blockIds])).toEqual([[0], [1], [2], [3], [0]]);
  });

  it('takes the length of a prompt with non-text parts from the engine, else estimates it', async () => {
    const recorder = recorderOf();
    const content = {
      kind: 'beginning',
      tokens: Uint32Array.from({ length: 32 }, (_, i) => i),
      restTokens: 8,
      restBytes: 0,
      otherParts: 2,
    } as const;
    recorder.record({ startedMs: 1000, record: done(1, 700) }, intake([content]));
    recorder.record({ startedMs: 1000, record: done(1) }, intake([content]));
    await file.settle();
    await file.settle();
    expect(written().map(({ isl, blockIds }) => [isl, blockIds.length])).toEqual([
      [700, 2],
      [240, 2],
    ]);
  });

  it('takes the length of a prompt in bytes from the engine, else from what earlier answers taught', async () => {
    const recorder = recorderOf();
    const text = (length: number): PromptContent => ({
      kind: 'bytes',
      bytes: new Uint8Array(length).fill(97),
      otherParts: 0,
    });
    recorder.record({ startedMs: 1000, record: done(1, 250) }, intake([text(1000)]));
    const learnt = { name: 'a', lengthGuess: { bytesPerToken: 5, tokensPerPart: 100 } };
    recorder.record({ startedMs: 1000, record: done(1) }, intake([text(1000)], { pool: learnt }));
    recorder.record({ startedMs: 1000, record: done(1, 60) }, intake([text(100), text(200)]));
    await file.settle();
    await file.settle();
    expect(written().map(({ isl, blockIds }) => [isl, blockIds.length])).toEqual([
      [250, 15],
      [200, 13],
      [20, 1],
      [40, 3],
    ]);
    const [first, second] = written();
    expect(first!.blockIds.subarray(0, 13)).toEqual(second!.blockIds);
  });

  it('does not affect the request by an error of its own', () => {
    const recorder = recorderOf();
    const broken = { ...intake([tokens(16)]), request: null } as unknown as RecordedIntake;
    expect(() => recorder.record({ startedMs: 1000, record: done(1) }, broken)).not.toThrow();
    expect(logged).toMatchObject([{ level: 50, msg: 'request not recorded' }]);
  });
});

describe('the setting', () => {
  it('is a flag and a variable, and needs a restart to change', () => {
    expect([flagName('record'), environmentName('record')]).toEqual(['--record', 'KVOYANT_RECORD']);
    expect(settings.record.reload).toBe('restart');
  });
});

describe('the file of a recording', () => {
  let folder: TemporaryFolder;
  beforeEach(() => {
    folder = new TemporaryFolder();
  });
  afterEach(() => {
    folder.remove();
  });

  async function recordTo(path: string, length: number, blockSize: number | 'auto' = 'auto'): Promise<void> {
    const config = resolveConfig({ workers: ['http://127.0.0.1:1'], record: path, blockSize });
    const recorder = (await openTrafficRecorder(config, options()))!;
    recorder.record({ startedMs: performance.now(), record: done(2) }, intake([tokens(length)]));
    await recorder.close();
  }

  const lengths = ({ requests }: Workload) => requests.map(({ isl }) => isl);

  it('is not opened if nothing is to be recorded', async () => {
    expect(await openTrafficRecorder(resolveConfig({ workers: ['http://127.0.0.1:1'] }), options())).toBeNull();
  });

  it('is readable by its owner only, and grows with every start', async () => {
    const path = `${folder.path}/new.jsonl`;
    await recordTo(path, 32);
    await recordTo(path, 48);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const workload = await readWorkload(path);
    expect(lengths(workload)).toEqual([32, 48]);
    // Each start numbers blocks from 0, since it is unknown what the engines still hold.
    expect(workload.requests.map(({ blockIds }) => [...blockIds])).toEqual([
      [0, 1],
      [2, 3, 4],
    ]);
    expect(workload.notes).toContain('2 recordings, which share no block with one another');
  });

  it('loses only a line that a crash cut short, however long', async () => {
    const path = `${folder.path}/torn.jsonl`;
    await recordTo(path, 32);
    const whole = readFileSync(path, 'utf8');
    appendFileSync(path, `{"arrivalMs":5,"blockRuns":[${'[1,1],'.repeat(30_000)}`);
    await recordTo(path, 64);
    expect(readFileSync(path, 'utf8').startsWith(whole)).toBe(true);
    expect(lengths(await readWorkload(path))).toEqual([32, 64]);
  });

  it.each([
    ['something else is in it', (path: string) => appendFileSync(path, 'precious\n'), /something else/],
    ['its blocks have another size', (path: string) => recordTo(path, 32, 64), /blocks of 64 tokens, not 16/],
  ])('is refused and left unchanged if %s', async (_, fill, reason) => {
    const path = `${folder.path}/other`;
    await fill(path);
    const before = readFileSync(path, 'utf8');
    const refusal = await recordTo(path, 16).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ConfigError);
    expect(refusal).toMatchObject({ setting: 'record', message: expect.stringMatching(reason) });
    expect(readFileSync(path, 'utf8')).toBe(before);
  });

  it('keeps no half of a failed write, whether another one follows or not', async () => {
    const path = folder.write('full.jsonl', 'before\n');
    const real = await open(path, 'a+');
    let room = 0;
    const handle = {
      write: async (bytes: Uint8Array, offset: number) => {
        if (room === 0) throw new Error('ENOSPC');
        const { bytesWritten } = await real.write(bytes, offset, Math.min(room, bytes.length - offset));
        room -= bytesWritten;
        return { bytesWritten, buffer: bytes };
      },
      stat: real.stat.bind(real),
      truncate: real.truncate.bind(real),
      close: real.close.bind(real),
    } as Pick<FileHandle, 'write' | 'stat' | 'truncate' | 'close'>;
    const file = new RecordingFile(handle);
    const tryWith = async (bytes: number) => {
      room = bytes;
      await file.append(Buffer.from('one line\n'));
    };
    await expect(tryWith(6)).rejects.toThrow('ENOSPC');
    await tryWith(100);
    await expect(tryWith(3)).rejects.toThrow('ENOSPC');
    await file.close();
    expect(readFileSync(path, 'utf8')).toBe('before\none line\n');
  });

  it('must be a file in an existing folder', async () => {
    await expect(recordTo(`${folder.path}/none/x`, 16)).rejects.toThrow(/can't record to .*ENOENT/);
    await expect(recordTo('/dev/null', 16)).rejects.toThrow(/it is no file/);
  });
});
