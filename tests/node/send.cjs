// Send one of everything with the official SDK: node send.cjs grpc|http/protobuf|http/json ENDPOINT

const { metrics, traces, logs } = {
  metrics: require("@opentelemetry/sdk-metrics"),
  traces: require("@opentelemetry/sdk-trace-base"),
  logs: require("@opentelemetry/sdk-logs"),
};
const { resourceFromAttributes } = require("@opentelemetry/resources");

const [protocol, endpoint] = process.argv.slice(2);
const flavour = { grpc: "grpc", "http/protobuf": "proto", "http/json": "http" }[protocol];
const at = (path) => ({ url: protocol === "grpc" ? endpoint : endpoint + path, compression: "gzip" });
const exporter = (signal, name, path) =>
  new (require(`@opentelemetry/exporter-${signal}-otlp-${flavour}`)[name])(at(path));

const resource = resourceFromAttributes({ "service.name": "node-shop", "service.instance.id": "n-1" });

async function main() {
  const reader = new metrics.PeriodicExportingMetricReader({
    exporter: exporter("metrics", "OTLPMetricExporter", "/v1/metrics"),
    exportIntervalMillis: 3600000,
  });
  const metering = new metrics.MeterProvider({ resource, readers: [reader] });
  const meter = metering.getMeter("t", "1");
  meter.createCounter("orders", { unit: "{order}" }).add(3, { method: "card" });
  meter.createUpDownCounter("queue").add(2);
  meter.createGauge("stock").record(7.5, { "räum": "ü" });
  meter.createHistogram("latency", { unit: "s" }).record(0.2);

  const tracing = new traces.BasicTracerProvider({
    resource,
    spanProcessors: [new traces.SimpleSpanProcessor(exporter("trace", "OTLPTraceExporter", "/v1/traces"))],
  });
  const span = tracing.getTracer("t").startSpan("GET /", { kind: 1, attributes: { n: 1, ok: true, of: ["a", "b"] } });
  span.addEvent("e", { k: "v" });
  span.end();

  const logger = new logs.LoggerProvider({
    resource,
    processors: [new logs.SimpleLogRecordProcessor({ exporter: exporter("logs", "OTLPLogExporter", "/v1/logs") })],
  });
  logger.getLogger("t").emit({ severityNumber: 17, severityText: "ERROR", body: "no", attributes: { n: 1 } });

  await tracing.forceFlush(); // metrics are flushed once, by their shutdown
  await logger.forceFlush();
  await Promise.all([metering.shutdown(), tracing.shutdown(), logger.shutdown()]);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
