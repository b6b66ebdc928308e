// Assembles a gateway from its configuration, starts it and shuts it down.

import { fileURLToPath } from 'node:url';
import type { DestinationStream } from 'pino';
import { BlockHasher, type Router } from '../core/index.ts';
import { addressesIn } from './address-range.ts';
import { type GatewayConfig, type GatewayOptions, resolveConfig } from './config/config.ts';
import { ReloadQueue, reload } from './config/config-reload.ts';
import { unixPathOf } from './config/listen-address.ts';
import { type ConfigChanges, LiveConfig } from './config/live-config.ts';
import { configOfPool } from './config/pool-entry.ts';
import { type ReferencedFiles, readReferencedFiles } from './config/referenced-files.ts';
import { clientKeys } from './config/tenants.ts';
import { Engine } from './engines/engine.ts';
import { upstreamTls } from './engines/upstream.ts';
import { AnswerBudget } from './exchange/answer-budget.ts';
import { AnswerDeadlines } from './exchange/answer-deadlines.ts';
import { BodyBudget, bodiesBytesMax } from './exchange/body-budget.ts';
import { TurnSlices } from './exchange/turn-slices.ts';
import { FeedCommons } from './feeds/feed-commons.ts';
import { PeerGate } from './feeds/peer-gate.ts';
import { EngineMonitor } from './fleet/engine-monitor.ts';
import { Fleet } from './fleet/fleet.ts';
import { whenReady } from './fleet/when-ready.ts';
import { type Resolve, systemResolve, WorkerDiscovery } from './fleet/worker-discovery.ts';
import { AcceptHold } from './http/accept-hold.ts';
import { Access } from './http/access.ts';
import { announce } from './http/announce.ts';
import { ConnectionSlots } from './http/connection-slots.ts';
import type { GatewayContext } from './http/gateway-context.ts';
import { KeyLimits } from './http/key-limits.ts';
import { builtPage, PageAssets } from './http/page-assets.ts';
import { logDeath, ReadingThread } from './inference/reading-thread.ts';
import { RetryBudget } from './inference/retry-budget.ts';
import { ShadowSlots } from './inference/shadow-slots.ts';
import { Listeners } from './listeners.ts';
import type { Examine } from './page/doctor-desk.ts';
import { Page } from './page/page.ts';
import type { RunWhatIf } from './page/what-if-desk.ts';
import { joinReplicas, shownAddress } from './peers/join-replicas.ts';
import { Pools } from './pools/pools.ts';
import { TokenizerFailures } from './prompts/tokenizer-failures.ts';
import { Tokenizers } from './prompts/tokenizers.ts';
import { Selection } from './selection/selection.ts';
import { DecisionLog } from './telemetry/decision-log.ts';
import { createLog } from './telemetry/gateway-log.ts';
import { GatewayMetrics } from './telemetry/gateway-metrics.ts';
import { logToStderr, registerLog } from './telemetry/log-output.ts';
import { MetricsText } from './telemetry/metrics-text.ts';
import { openTrafficRecorder, type TrafficRecorder } from './telemetry/traffic-recorder.ts';
import { UsageLedger } from './telemetry/usage-ledger.ts';
import { type Collector, openCollector } from './tracing/collector.ts';

/** Share of each turn of the event loop for arriving requests. */
const intakeSliceMsMax = 4;
/** Share of each turn for long answers of our own. */
const answerSliceMsMax = 4;

export interface Gateway {
  /** As of the last reload. */
  readonly config: GatewayConfig;
  /** Files that the configuration names, and that a reload reads again. */
  readonly referencedPaths: readonly string[];
  /** Without a trailing slash. */
  readonly url: string;
  /** Base URL of operator routes, without a trailing slash; equals `url` if operators have no listener of their own. */
  readonly adminUrl: string;
  /** Base URL of the health thread's listener, without a trailing slash; null if there is none. */
  readonly healthUrl: string | null;
  /** Name of the tokenizer in use, or `engine`, or `none`. */
  readonly tokenizerName: string;
  /** The router for a model; null if no worker lists it. */
  router(model: string): Router | null;
  /** Resolves once `engineCount` engines are ready (default: all); rejects after `timeoutMs`. */
  whenReady(timeoutMs: number, engineCount?: number): Promise<void>;
  /**
   * Applies a new configuration as far as possible without a restart. Resolves to null if it is invalid or can't be
   * loaded, with nothing changed. The log reports either.
   */
  reload(load: () => GatewayOptions | Promise<GatewayOptions>): Promise<ConfigChanges | null>;
  /**
   * Turns readiness off and takes requests for `shutdownNoticeMs`, then accepts no more connections. Answers may finish
   * within `shutdownGraceMs`; then they are broken off.
   */
  close(): Promise<Closed>;
}

export interface Closed {
  /** Answers that had not finished within the grace period; their clients got an error where possible. */
  readonly brokenOffAnswers: number;
}

/** Replaceable parts of the environment, for tests and experiments. */
export interface GatewaySurroundings {
  /** Resolves host names. */
  readonly resolve?: Resolve;
  /** Counts requests as load only from their first token; experiments use it to measure the gain of earlier booking. */
  readonly lateBooking?: boolean;
  /** False: requests of clients are not relayed (`kvoyant select`). Default true. */
  readonly relays?: boolean;
  /** Destination of the log; default: stderr. */
  readonly logTo?: DestinationStream;
  /** Shown by the page. */
  readonly version?: string;
  /** Whether telemetry goes to the collector that the process's `OTEL_*` variables name; default: no. */
  readonly otel?: boolean;
  /** Folder of the built page; default: where the build puts it. */
  readonly pageFolder?: string;
  /** Runs the lab for the page's what-if, with the policies that may be asked for. */
  readonly whatIf?: { readonly run: RunWhatIf; readonly policies: readonly string[] };
  /** Runs the doctor for the page. */
  readonly examine?: Examine;
}

/**
 * Starts the listeners and the search for engines, which need not be up.
 * @throws ConfigError for a wrong setting; TokenizerError if the tokenizer can't be loaded
 */
export async function startGateway(options: GatewayOptions, surroundings: GatewaySurroundings = {}): Promise<Gateway> {
  const live = new LiveConfig(resolveConfig(options));
  const config = live.current;
  const { version = '' } = surroundings;
  const files = await readReferencedFiles(config);
  let loaded = files;
  const log = createLog(config, null, surroundings.logTo);
  const tokenizers = await Tokenizers.load(config, (spec, notice) => log.warn({ tokenizer: spec }, notice));
  const tokenizer = tokenizers.of(config.tokenizer);
  const pools = new Pools(
    config,
    (spec) => tokenizers.of(spec),
    () => live.current,
    surroundings.lateBooking,
  );
  const hasher = new BlockHasher();
  const publisherGate = new PeerGate(config.kvPublishers, log);
  const feedCommons = new FeedCommons(() => performance.now(), publisherGate);
  const keyLimits = new KeyLimits();
  const peers = joinReplicas({
    config,
    pools,
    feedCommons,
    address: () => {
      const { url } = listeners;
      return url === null ? '' : shownAddress(url);
    },
    uses: (nowMs) => keyLimits.uses(nowMs),
    log,
  });
  keyLimits.shares = peers?.shares ?? null;
  const fleet = new Fleet({
    create: (spec) => {
      const tls = loaded.engineTls.of(spec);
      if (tls === null) throw new Error('the configuration no longer names the files of its certificates');
      const engine = new Engine(spec, tls, config.allowLinkLocal);
      const ofPool = configOfPool({ ...config, pools: live.current.pools }, spec.pool);
      const context = { config: ofPool, tokenizer: tokenizers.of(ofPool.tokenizer), pools, hasher, feedCommons, log };
      return { engine, monitor: new EngineMonitor(engine, context) };
    },
    drainMsMax: () => live.current.workerDrainMsMax,
    log,
  });
  const discovery = new WorkerDiscovery(
    fleet,
    surroundings.resolve ?? systemResolve,
    config.dnsIntervalMs,
    log,
    config.allowLinkLocal,
  );
  const acceptHold = new AcceptHold(() => performance.now());
  let isTrusted = addressesIn(config.trustedProxies);
  const unix = unixPathOf(config.host) !== null;
  const slots = new ConnectionSlots(
    () => {
      const { connectionsMax, unprovenPerAddressMax } = live.current;
      return { connectionsMax, unprovenPerAddressMax, unix, isTrusted };
    },
    (limit) => metrics.limited.inc({ limit }),
    () => performance.now(),
  );
  const bodyBudget = new BodyBudget(() => bodiesBytesMax(live.current));
  const answerBudget = new AnswerBudget();
  const door = {
    connections: () => listeners.connections(),
    bodyBytes: () => listeners.bodyBytes(),
    answerBytes: () => listeners.answerBytes(),
    ...{ threads: () => listeners.threads(), shadows: () => context.shadows },
  };
  const metrics = new GatewayMetrics(pools, fleet.engines, door, () => peers);
  registerLog(metrics.registry, () => (surroundings.logTo === undefined ? logToStderr().lostLines : 0));
  keyLimits.observer = metrics.usage;
  let stopping = false;
  let recorder: TrafficRecorder | null = null;
  let collector: Collector | null = null;
  const page = new Page({
    pools,
    engines: fleet.engines,
    decisions: () => context.decisions,
    config: () => live.current,
    version,
    tokenizerName: tokenizer?.name ?? config.tokenizer,
    leaving: (engine) => fleet.leaving(engine),
    stopping: () => stopping,
    threads: () => config.threads,
    routers: () => peers?.view.replicas ?? 1,
    limited: () => metrics.limitedByName(),
    recordingStartMs: () => (recorder === null ? null : performance.timeOrigin + recorder.startMs),
    runWhatIf: surroundings.whatIf?.run ?? null,
    whatIfPolicies: surroundings.whatIf?.policies ?? [],
    examine: surroundings.examine ?? null,
  });
  const answerSlices = new TurnSlices(answerSliceMsMax, () => performance.now());
  let selection: Selection | null = null;
  const context: GatewayContext = {
    get config() {
      return live.current;
    },
    get stopping() {
      return stopping;
    },
    hasher,
    pools,
    engines: fleet.engines,
    monitors: fleet.monitors,
    fleet,
    access: new Access(),
    keyLimits,
    peers,
    get tracing() {
      return collector?.tracing ?? null;
    },
    deadlines: new AnswerDeadlines(
      () => live.current,
      (limit) => metrics.limited.inc({ limit }),
    ),
    bodyBudget,
    answerBudget,
    answerSlices,
    metricsText: new MetricsText(metrics.registry, answerSlices),
    slots,
    acceptHold,
    intakeSlices: new TurnSlices(intakeSliceMsMax, () => performance.now(), { hold: acceptHold.asker() }),
    readingThread: new ReadingThread(logDeath(log)),
    retryBudget: new RetryBudget(),
    shadows: new ShadowSlots(() => live.current),
    tokenizerFailures: new TokenizerFailures((code) => metrics.tokenizerFailures.inc({ code }), log),
    metrics,
    decisions: new DecisionLog(config.decisionsMax, page),
    usage: new UsageLedger(metrics.usage),
    page,
    pageAssets: new PageAssets(surroundings.pageFolder ?? fileURLToPath(builtPage), () => performance.now()),
    get recorder() {
      return recorder;
    },
    relays: surroundings.relays ?? true,
    get selection() {
      return selection;
    },
    log,
  };
  if (config.selection) selection = new Selection(context);
  const listeners = new Listeners(context, files);
  const apply = (current: GatewayConfig, referenced: ReferencedFiles): void => {
    const { workers, apiKeys, tls } = referenced;
    loaded = referenced;
    for (const { spec, upstream } of fleet.engines) {
      const renewed = referenced.engineTls.of(spec);
      if (renewed !== null) upstream.renew(upstreamTls(spec, renewed, config.allowLinkLocal));
    }
    listeners.apply(referenced);
    log.level = current.logLevel;
    isTrusted = addressesIn(current.trustedProxies);
    publisherGate.allow(current.kvPublishers);
    context.access.configure(clientKeys([...current.apiKeys, ...apiKeys], current.tenants), current, tls?.ca ?? null);
    const specs = [...current.workers, ...workers];
    fleet.want(
      'config',
      specs.filter(({ dns }) => dns !== true),
    );
    discovery.follow(specs.filter(({ dns }) => dns === true));
  };
  /** After the last request of a client. */
  const end = async (): Promise<void> => {
    context.shadows.close();
    page.close();
    // Closed last, so that operators can watch the shutdown.
    await listeners.closeOperators();
    await selection?.close();
    context.deadlines.close();
    await peers?.close();
    await discovery.close();
    await Promise.all([...pools].map((pool) => pool.tokens.close()));
    await fleet.close();
    await context.readingThread.close();
    await tokenizers.close();
    await recorder?.close();
    await collector?.close();
    await context.usage.close();
    await listeners.closeHealth();
  };
  try {
    recorder = await openTrafficRecorder(config, {
      hasher: context.hasher,
      log,
      onLines: (fate, count) => metrics.recordedLines.inc({ fate }, count),
    });
    if (surroundings.otel === true) collector = await openCollector(process.env, version, metrics, log);
    await context.usage.open(config, log);
    peers?.open();
    // Before listening, so that no request can arrive while the keys are missing.
    apply(config, files);
    await listeners.open();
  } catch (error) {
    await listeners.closeClients(0);
    await end();
    throw error;
  }
  const { adminUrl, healthUrl } = listeners;
  announce(log, config, config.apiKeys.length + files.apiKeys.length, adminUrl);
  const url = listeners.url!;
  const reloads = new ReloadQueue();
  let closing: Promise<Closed> | null = null;
  return {
    get config() {
      return live.current;
    },
    get referencedPaths() {
      return loaded.paths;
    },
    url,
    adminUrl: adminUrl ?? url,
    healthUrl,
    tokenizerName: tokenizer?.name ?? config.tokenizer,
    router: (model) => [...pools].find((pool) => pool.model(model) !== undefined)?.router ?? null,
    whenReady: (timeoutMs, engineCount = fleet.engines.length) => whenReady(fleet.engines, engineCount, timeoutMs),
    reload: (load) =>
      reloads.run(() =>
        stopping ? Promise.resolve(null) : reload(live, load, (next) => tokenizers.prepare(next), apply, log),
      ),
    close: () => {
      closing ??= (async () => {
        stopping = true;
        listeners.stopping();
        const { shutdownNoticeMs, shutdownGraceMs } = live.current;
        log.info({ shutdownNoticeMs, shutdownGraceMs }, 'stopping');
        if (shutdownNoticeMs > 0) await new Promise((resolve) => setTimeout(resolve, shutdownNoticeMs));
        const brokenOffAnswers = await listeners.closeClients(shutdownGraceMs);
        await end();
        log.info({ brokenOffAnswers }, 'stopped');
        return { brokenOffAnswers };
      })();
      return closing;
    },
  };
}
