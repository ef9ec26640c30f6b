"""A real OpenTelemetry Collector on free ports, and what it wrote to a file as stock protobuf messages."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from google.protobuf.json_format import ParseDict

from tests.otlp.stock import ExportLogsServiceRequest, ExportMetricsServiceRequest, ExportTraceServiceRequest
from tests.ports import free_port
from tests.servers.program import running

CONFIGS = Path(__file__).parent.parent.parent / "otel-config"
_REQUESTS: dict[str, Any] = {
    "resourceMetrics": ExportMetricsServiceRequest,
    "resourceSpans": ExportTraceServiceRequest,
    "resourceLogs": ExportLogsServiceRequest,
}
_IDS = {"traceId", "spanId", "parentSpanId"}


class Collector:
    """One Collector with a configuration; `environ` is what the configuration reads from its environment."""

    def __init__(self, binary: str, config: Path, directory: Path, **environ: str) -> None:
        self.grpc, self.http = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        directory.mkdir(exist_ok=True)
        self._log = directory / f"{config.stem}.log"
        self._command = [binary, "--config", str(config)]
        self._running = ExitStack()
        self._environ = os.environ | {"COLLECTOR_GRPC": self.grpc, "COLLECTOR_HTTP": self.http} | environ

    def validate(self) -> None:
        """Assert that the Collector itself finds nothing wrong with the configuration."""
        binary, *arguments = self._command
        done = subprocess.run(
            [binary, "validate", *arguments], env=self._environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr

    def __enter__(self) -> Self:
        """Start it and wait until it says that it is ready: it listens, and panics on requests, before that."""
        self._running.enter_context(
            running(self._command, self._log, lambda: "Everything is ready" in self.log(), self._environ)
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def log(self) -> str:
        return self._log.read_text()


def written(path: Path) -> list[Any]:
    """Return the requests that a file exporter wrote as JSON."""
    lines = path.read_text().split("\n") if path.exists() else []  # strings may hold other line ends
    return [_request(json.loads(line)) for line in lines if line.endswith("}")]


def _request(found: dict[str, Any]) -> Any:
    """Parse OTLP's JSON, whose ids are hex where protobuf's own JSON has base64."""
    (key,) = found
    return ParseDict(_with_base64_ids(found), _REQUESTS[key]())


def _with_base64_ids(value: Any) -> Any:
    match value:
        case dict():
            return {k: _base64(v) if k in _IDS else _with_base64_ids(v) for k, v in value.items()}
        case list():
            return [_with_base64_ids(item) for item in value]
        case _:
            return value


def _base64(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def items_of(requests: list[Any]) -> list[str]:
    """Return every data point, span and log record with what it belongs to, as text, sorted."""
    return sorted(text for request in requests for text in _items(request))


def _items(request: Any) -> Iterator[str]:
    for group in (g for field, groups in request.ListFields() for g in groups):
        ((_, scopes),) = ((f, v) for f, v in group.ListFields() if f.name.startswith("scope_"))
        for scope in scopes:
            ((_, things),) = ((f, v) for f, v in scope.ListFields() if f.name in {"metrics", "spans", "log_records"})
            owner = f"{_sorted(group.resource)}|{scope.scope.name}|{scope.scope.version}"
            for thing in things:
                for item, name in _points(thing):
                    yield f"{owner}|{name}|{_sorted(item)}"


def _points(thing: Any) -> Iterator[tuple[Any, str]]:
    """Yield the data points of a metric, with all that the metric says; a span or log record as it is."""
    kind = thing.WhichOneof("data") if thing.DESCRIPTOR.name == "Metric" else None
    if kind is None:
        yield thing, ""
        return
    data = getattr(thing, kind)
    for point in data.data_points:
        temporality = getattr(data, "aggregation_temporality", ""), getattr(data, "is_monotonic", "")
        yield point, f"{thing.name}|{thing.unit}|{thing.description}|{kind}|{temporality}"


def _sorted(message: Any) -> str:
    """Spell a message, its attributes in order of their keys: their order means nothing."""
    plain = type(message).FromString(message.SerializeToString())
    plain.attributes.sort(key=lambda kv: kv.key)
    text: str = plain.SerializeToString(deterministic=True).hex()
    return text
