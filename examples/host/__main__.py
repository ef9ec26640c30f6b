"""Report this machine: `python -m examples.host --endpoint http://127.0.0.1:4317`."""

import argparse
import logging
import platform
import sys

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from examples.host.metrics import create_instruments
from examples.stopping import stop_on_signals

_log = logging.getLogger("examples.host")


def main() -> int:
    """Export this machine's metrics until told to stop."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s host: %(message)s", datefmt="%H:%M:%S")
    stop = stop_on_signals()
    provider = _meter_provider(arguments.endpoint, arguments.interval)
    create_instruments(provider.get_meter("examples.host"))
    _log.info("reporting %s every %g s to %s", platform.node(), arguments.interval, arguments.endpoint)
    stop.wait(arguments.duration)
    provider.shutdown()
    _log.info("stopped")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m examples.host", description=__doc__)
    parser.add_argument("--endpoint", default="http://127.0.0.1:4317", help="OTLP gRPC endpoint (default: %(default)s)")
    parser.add_argument("--interval", type=float, default=5.0, help="seconds between points (default: 5)")
    parser.add_argument("--duration", type=float, default=None, help="stop by itself after so many seconds")
    return parser


def _meter_provider(endpoint: str, interval_seconds: float) -> MeterProvider:
    resource = Resource.create(
        {
            "service.name": "host",
            "service.instance.id": platform.node(),
            "host.name": platform.node(),
            "os.type": platform.system().lower(),
        }
    )
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=endpoint), export_interval_millis=interval_seconds * 1e3
    )
    return MeterProvider(metric_readers=[reader], resource=resource, shutdown_on_exit=False)


if __name__ == "__main__":
    sys.exit(main())
