"""The official SDK for Node.js, over gRPC and over HTTP as protobuf and as JSON."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector_processor.store.sqlite import open_reader
from tests.process import Process, end, wait_until
from tests.sink import Sink

pytestmark = pytest.mark.server

NODE = Path(__file__).parent.parent / "node"
EXPECTED = {
    "orders rate",
    "orders total",
    "queue value",
    "stock value",
    "latency rate",
    "latency p95",
    "traces.span.calls rate",
    "logs.records rate",
}


@pytest.fixture(scope="session")
def send(program: Callable[[str], str], node_modules: Path) -> Callable[[str, str], None]:
    """Return what runs `send.cjs`."""
    node = program("node")

    def run(protocol: str, endpoint: str) -> None:
        environ = os.environ | {"NODE_PATH": str(node_modules)}
        done = subprocess.run(
            [node, str(NODE / "send.cjs"), protocol, endpoint],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")

    return run


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.close()


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_what_the_node_sdk_sends_is_taken_whole_and_forwarded(
    tmp_path: Path, sink: Sink, send: Callable[[str, str], None], protocol: str
) -> None:
    settings = ("series.window=1s", "series.grace=0s", f"forward.endpoint={sink.endpoint}", "forward.loop_check=0s")
    process = Process(tmp_path / "foreband", *settings)
    process.start()
    try:
        send(protocol, f"http://{process.otlp if protocol == 'grpc' else process.otlp_http}")
        assert wait_until(lambda: series_of(process) >= EXPECTED), series_of(process)
        found = process.metrics()
        assert [found["foreband_stored_total", signal] for signal in ("metrics", "traces", "logs")] == [4, 1, 1]
        process.assert_balanced()
        assert sink.wait_for(lambda requests: {type(r).__name__ for r in requests if r.ByteSize()} == SERVICES)
        (span,) = (s for r in sink.requests for g in getattr(r, "resource_spans", ()) for s in g.scope_spans[0].spans)
        assert (span.name, len(span.trace_id), len(span.span_id), span.kind) == ("GET /", 16, 8, 2)
    finally:
        end(process)


SERVICES = {"ExportMetricsServiceRequest", "ExportTraceServiceRequest", "ExportLogsServiceRequest"}


def series_of(process: Process) -> set[str]:
    reader = open_reader(process.store)
    try:
        return {f"{k.metric} {k.statistic.value}" for _, k in reader.catalog() if k.service == "node-shop"}
    finally:
        reader.close()
