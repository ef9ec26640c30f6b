"""A real Prometheus that holds nothing evaluates its own PromQL over what it reads from Foreband."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from collector_processor.clock import ManualClock
from collector_processor.store.sqlite import open_reader
from grafana_datasource.app import Settings, create_app, serve
from tests.promql.samples import END, MS, write_store
from tests.servers.prometheus import running_prometheus
from tests.servers.test_promql_parity import Ask, _ask_in_process, _ask_over_http, difference

pytestmark = pytest.mark.server

EXPRESSIONS = [
    "temperature",
    'requests_total{job=~"a.*", code!="500"}',
    "sum by (job) (rate(requests_total[5m]))",
    "histogram_quantile(0.9, sum by (job, le) (rate(latency_bucket[5m])))",
    "ending",
    "count_over_time(ending[10m])",
    "wild",
    "weird",
    'max_over_time(temperature{zone!~"eu-1|us-1"}[30m:1m] offset 5m)',
    "absent(nothing)",
]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[tuple[Ask, Ask]]:
    directory: Path = tmp_path_factory.mktemp("remote_read")
    write_store(directory / "store")
    app = create_app(Settings(partial(open_reader, directory / "store"), clock=ManualClock(END * MS)))
    server = serve(app, "127.0.0.1", 0)
    config = {"remote_read": [{"url": f"http://127.0.0.1:{server.port}/prom/api/v1/read", "read_recent": True}]}
    try:
        (directory / "prometheus").mkdir()
        with running_prometheus(program("prometheus"), directory / "prometheus", config) as prometheus:
            yield partial(_ask_in_process, app.test_client()), partial(_ask_over_http, prometheus.url)
    finally:
        server.stop()


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_a_prometheus_finds_by_remote_read_what_a_query_finds(sides: tuple[Ask, Ask], text: str) -> None:
    foreband, prometheus = sides
    for route, times in (
        ("query", {"time": str(END // 1000 - 60)}),
        ("query_range", {"start": str(END // 1000 - 7200), "end": str(END // 1000), "step": "97"}),
    ):
        assert not difference(route, text, times, foreband, prometheus)


def test_a_prometheus_reads_derived_metrics_too(sides: tuple[Ask, Ask]) -> None:
    foreband, prometheus = sides
    text, times = 'foreband_actual{metric="temperature"}', {"time": str(END // 1000 - 60)}
    assert prometheus("query", {"query": text, **times})["data"]["result"]
    assert not difference("query", text, times, foreband, prometheus)
