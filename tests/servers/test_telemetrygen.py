"""OpenTelemetry's own generator of telemetry, in Go, against both doors: all of it is taken, and nothing else."""

import subprocess
from collections.abc import Iterator

import pytest

from collector_processor.ledger import Signal
from tests.process import Process, end
from tests.servers.built import built

pytestmark = pytest.mark.server

KINDS = ("Gauge", "Sum", "Histogram", "ExponentialHistogram")
MANY = 25


@pytest.fixture(scope="module")
def telemetrygen() -> str:
    return built("telemetrygen")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("foreband"))
    try:
        process.start()
        yield process
        process.assert_balanced()
        process.assert_log_is_calm()
    finally:
        end(process)


def stored(process: Process) -> dict[str, int]:
    found = process.metrics()
    return {signal: int(found.get(("foreband_stored_total", signal), 0)) for signal in Signal}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_all_that_it_sends_is_taken(telemetrygen: str, process: Process, protocol: str) -> None:
    address = f"--otlp-endpoint={process.otlp if protocol == 'grpc' else process.otlp_http}"
    door = [address, "--otlp-insecure", *(["--otlp-http"] if protocol == "http" else [])]
    common = [*door, "--rate=0", f"--service={protocol}", "--workers=2"]
    before = stored(process)
    for kind in KINDS:
        temporality = "delta" if kind == "Sum" else "cumulative"
        metric = [f"--metric-type={kind}", f"--otlp-metric-name=of.{kind}", f"--aggregation-temporality={temporality}"]
        run(telemetrygen, "metrics", f"--metrics={MANY}", *metric, *common)
    run(telemetrygen, "traces", f"--traces={MANY}", "--child-spans=3", "--status-code=Error", *common)
    run(telemetrygen, "logs", f"--logs={MANY}", "--severity-number=17", "--severity-text=Error", *common)
    sent = {Signal.METRICS: len(KINDS) * 2 * MANY, Signal.TRACES: 4 * 2 * MANY, Signal.LOGS: 2 * MANY}
    assert stored(process) == {signal: before[signal] + number for signal, number in sent.items()}


def run(program: str, *arguments: str) -> None:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "\tERROR\t" not in done.stderr, done.stderr
