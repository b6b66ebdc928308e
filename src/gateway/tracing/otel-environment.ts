// What the standard `OTEL_*` variables say about whether telemetry is sent, and how often.
//
// Endpoints, headers, certificates, time limits, samplers and resource attributes are read by the official packages.
// Source: the environment variable specification of OpenTelemetry.

export type Environment = Readonly<Record<string, string | undefined>>;

export interface OtelWish {
  readonly traces: boolean;
  readonly metrics: boolean;
  readonly metricsIntervalMs: number;
  /** At most the interval. */
  readonly metricsTimeoutMs: number;
  /** Variables that are not followed, and why; for the log. */
  readonly notices: readonly string[];
}

type Signal = 'traces' | 'metrics';

const metricsIntervalMsDefault = 60_000;
const metricsIntervalMsMin = 100;
const metricsTimeoutMsDefault = 30_000;

export function readOtelEnvironment(environment: Environment): OtelWish {
  const notices: string[] = [];
  const value = (name: string): string | null => environment[name]?.trim() || null;
  const milliseconds = (name: string, fallback: number, min: number): number => {
    const text = value(name);
    if (text === null) return fallback;
    const number = Number(text);
    if (Number.isFinite(number) && number >= min) return Math.min(number, 2 ** 31 - 1);
    notices.push(`${name} must be a number of milliseconds from ${min}; it is taken as ${fallback}`);
    return fallback;
  };
  const disabled = value('OTEL_SDK_DISABLED')?.toLowerCase() === 'true';
  const sends = (signal: Signal): boolean => {
    const name = signal.toUpperCase();
    const endpoint = value(`OTEL_EXPORTER_OTLP_${name}_ENDPOINT`) ?? value('OTEL_EXPORTER_OTLP_ENDPOINT');
    if (endpoint === null || disabled) return false;
    if (!isHttp(endpoint)) {
      notices.push(`the OTLP endpoint of ${signal} must be an http or https URL; no ${signal} are sent`);
      return false;
    }
    const exporter = value(`OTEL_${name}_EXPORTER`) ?? 'otlp';
    if (exporter === 'none') return false;
    if (exporter !== 'otlp') {
      notices.push(`OTEL_${name}_EXPORTER is ${exporter}, but only otlp and none are known; no ${signal} are sent`);
      return false;
    }
    const protocol = value(`OTEL_EXPORTER_OTLP_${name}_PROTOCOL`) ?? value('OTEL_EXPORTER_OTLP_PROTOCOL');
    if (protocol === null || protocol === 'http/protobuf') return true;
    notices.push(`the OTLP protocol ${protocol} is not spoken, only http/protobuf; no ${signal} are sent`);
    return false;
  };
  const traces = sends('traces');
  const metrics = sends('metrics');
  const propagators = value('OTEL_PROPAGATORS');
  if (traces && propagators !== null && !propagators.split(',').some((one) => one.trim() === 'tracecontext')) {
    notices.push(`OTEL_PROPAGATORS is ${propagators}, but only tracecontext is known; it is used`);
  }
  const metricsIntervalMs = milliseconds('OTEL_METRIC_EXPORT_INTERVAL', metricsIntervalMsDefault, metricsIntervalMsMin);
  const timeoutMs = milliseconds('OTEL_METRIC_EXPORT_TIMEOUT', metricsTimeoutMsDefault, 1);
  return { traces, metrics, metricsIntervalMs, metricsTimeoutMs: Math.min(timeoutMs, metricsIntervalMs), notices };
}

function isHttp(endpoint: string): boolean {
  return URL.canParse(endpoint) && /^https?:$/.test(new URL(endpoint).protocol);
}
