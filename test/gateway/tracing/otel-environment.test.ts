import { describe, expect, it } from 'vitest';
import { readOtelEnvironment } from '../../../src/gateway/tracing/otel-environment.ts';

const endpoint = 'http://127.0.0.1:4318';
const both = { traces: true, metrics: true };
const neither = { traces: false, metrics: false };

describe('the OTEL_* variables', () => {
  it.each([
    [{}, neither],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, neither],
    [{ OTEL_SERVICE_NAME: 'x', OTEL_TRACES_EXPORTER: 'otlp' }, neither],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, both],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${endpoint}/v1/traces` }, { traces: true, metrics: false }],
    [{ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${endpoint}/v1/metrics` }, { traces: false, metrics: true }],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_METRICS_EXPORTER: 'none' },
      { traces: true, metrics: false },
    ],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SDK_DISABLED: 'TRUE' }, neither],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_SDK_DISABLED: 'false' }, both],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' }, both],
  ])('%j: sends %j, and there is nothing to say', (environment, expected) => {
    expect(readOtelEnvironment(environment)).toMatchObject({ ...expected, notices: [] });
  });

  it.each([
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, neither, /protocol grpc is not spoken/],
    [{ OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'http/json' }, { traces: true, metrics: false }, /http\/json/],
    [{ OTEL_TRACES_EXPORTER: 'zipkin' }, { traces: false, metrics: true }, /OTEL_TRACES_EXPORTER is zipkin/],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'collector:4317' }, { traces: false, metrics: true }, /http or https URL/],
    [{ OTEL_PROPAGATORS: 'b3,jaeger' }, both, /only tracecontext is known/],
    [{ OTEL_METRIC_EXPORT_INTERVAL: 'soon' }, both, /OTEL_METRIC_EXPORT_INTERVAL must be a number/],
    [{ OTEL_METRIC_EXPORT_INTERVAL: '1' }, both, /OTEL_METRIC_EXPORT_INTERVAL must be a number/],
  ])('%j is not followed, and the log says so', (environment, expected, notice) => {
    const wish = readOtelEnvironment({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, ...environment });
    expect(wish).toMatchObject(expected);
    expect(wish.notices.join('\n')).toMatch(notice);
  });

  it('bound the interval of metrics, and the time for one export by it', () => {
    const read = (interval: string, timeout: string) =>
      readOtelEnvironment({ OTEL_METRIC_EXPORT_INTERVAL: interval, OTEL_METRIC_EXPORT_TIMEOUT: timeout });
    expect(read('', '')).toMatchObject({ metricsIntervalMs: 60_000, metricsTimeoutMs: 30_000 });
    expect(read('500', '30000')).toMatchObject({ metricsIntervalMs: 500, metricsTimeoutMs: 500 });
    // A longer timer fires at once.
    expect(read('1e99', '7').metricsIntervalMs).toBe(2 ** 31 - 1);
  });
});
