"""Several destinations, what is added on the way, and loops: whole processes with real downstreams."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.config import Config, load_config
from collector_processor.errors import ConfigError
from collector_processor.ledger import Signal
from collector_processor.otlp import wire
from collector_processor.otlp.additions import Additions, Which
from collector_processor.otlp.receiver import EXPORT_METHODS
from collector_processor.pipeline import PipelineSettings
from collector_processor.pipeline.outgoing import MOST_TOGETHER
from collector_processor.store.base import OutboxItem
from tests.house import House
from tests.otlp import stock
from tests.otlp.stock import ExportLogsServiceRequest, ExportMetricsServiceRequest, ExportTraceServiceRequest
from tests.otlp.test_http_downstream import Server, Told
from tests.pipeline_room import NOW, Room, gauge_request, opened, span_request
from tests.ports import free_port
from tests.process import wait_until
from tests.sink import Sink

CLASSES: Any = {
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
EVERYWHERE = dict.fromkeys(Signal, ("default",))


@pytest.fixture
def sinks() -> Iterator[tuple[Sink, Sink]]:
    pair = Sink(), Sink()
    yield pair
    for sink in pair:
        sink.close()


def destination(name: str, endpoint: str, *signals: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "endpoint": endpoint, **({"signals": list(signals)} if signals else {}), **fields}


def destinations(*given: dict[str, Any]) -> str:
    return f"forward.destinations={json.dumps(given)}"


def own_metrics(house: House) -> str:
    with urlopen(f"http://{house.addresses.http}/metrics", timeout=20) as response:
        text: str = response.read().decode()
        return text


def kinds(sink: Sink) -> set[str]:
    return {type(request).__name__ for request in sink.requests if request.ByteSize()}


def test_each_destination_gets_its_signals_and_no_other(tmp_path: Path, sinks: tuple[Sink, Sink]) -> None:
    first, second = sinks
    given = destinations(
        destination("mimir", first.endpoint, "metrics"), destination("tempo", second.endpoint, "traces", "logs")
    )
    house = House(tmp_path, given, "forward.loop_check=0s")
    try:
        moment = house.moment("s")
        house.send(Signal.METRICS, moment.gauge("g", (-60, 1.0)))
        house.send(Signal.TRACES, moment.spans({}))
        house.send(Signal.LOGS, moment.logs({}))
        assert first.wait_for(lambda _: kinds(first) == {"ExportMetricsServiceRequest"})
        assert second.wait_for(lambda _: kinds(second) == {"ExportTraceServiceRequest", "ExportLogsServiceRequest"})
    finally:
        house.close()
    assert kinds(first) == {"ExportMetricsServiceRequest"}


def test_a_dead_destination_delays_no_other_and_keeps_its_own_queue(tmp_path: Path, sinks: tuple[Sink, Sink]) -> None:
    alive, _ = sinks
    dead = destination("dead", f"http://127.0.0.1:{free_port()}", timeout="1s")
    house = House(tmp_path, destinations(dead, destination("alive", alive.endpoint)), "forward.loop_check=0s")
    try:
        moment = house.moment("s")
        for number in range(5):
            house.send(Signal.METRICS, moment.gauge(f"g{number}", (-60, 1.0)))
        assert alive.wait_for(lambda requests: len([r for r in requests if r.ByteSize()]) == 5)
        assert house.foreband.outbox.sizes()["dead"][0] == 5
        expected = {
            'foreband_forward_waiting{destination="dead"} 5.0',
            'foreband_forwarded_total{destination="alive",outcome="sent",signal="metrics"} 5.0',
        }
        assert wait_until(lambda: expected <= set(own_metrics(house).splitlines()))
    finally:
        house.close()


def test_a_destination_may_speak_http(tmp_path: Path) -> None:
    server = Server()
    given = destinations(destination("http", f"{server.url}/otlp", protocol="http", headers={"x-key": "k"}))
    house = House(tmp_path, given, "forward.loop_check=0s")
    try:
        server.script = [Told(503, headers={"Retry-After": "0.01"})]
        house.send(Signal.LOGS, house.moment("s").logs({}))
        assert wait_until(lambda: len([r for r in server.received if r[0] == "/otlp/v1/logs"]) == 2)
        assert server.received[-1][1]["x-key"] == "k"
    finally:
        house.close()
        server.close()


class Relay(Sink):
    """A Collector in between: what it gets it sends on, without the metadata."""

    def __init__(self) -> None:
        super().__init__()
        self.target: Any = None

    def take(self, request: Any) -> None:
        super().take(request)
        if self.target is not None and request.ByteSize():
            signal = next(of for of, kind in CLASSES.items() if isinstance(request, kind))
            self.target(signal, request.SerializeToString())


@pytest.mark.parametrize("signal", list(Signal))
def test_a_loop_through_another_program_is_found_and_broken(tmp_path: Path, signal: Signal) -> None:
    relay = Relay()
    house = House(tmp_path, destinations(destination("back", relay.endpoint, signal)))
    channel = grpc.insecure_channel(house.addresses.otlp)

    under_way: list[Any] = []

    def send_back(of: Signal, body: bytes) -> None:
        under_way.append(channel.unary_unary(EXPORT_METHODS[of], None, None).future(body, timeout=20))

    relay.target = send_back
    try:
        moment = house.moment("s")
        first, later = ([moment.gauge(f"g{n}", (-60, 1.0)), moment.spans({}), moment.logs({})] for n in range(2))
        place = list(Signal).index(signal)
        house.send(signal, first[place])
        assert wait_until(lambda: 'foreband_forward_held{destination="back"} 1.0' in own_metrics(house))
        house.send(signal, later[place].SerializeToString() + b"\xc0\x3e\x05")
        assert house.foreband.outbox.sizes()["back"][0] >= 1
    finally:
        house.close()
        channel.close()
        relay.close()


def test_canaries_are_sent_to_a_destination_that_gets_something_and_make_no_metric_series(
    tmp_path: Path, sinks: tuple[Sink, Sink]
) -> None:
    sink, _ = sinks
    house = House(tmp_path, f"forward.endpoint={sink.endpoint}")
    try:
        house.send(Signal.METRICS, house.moment("s").gauge("g", (-60, 1.0)))
        assert sink.wait_for(lambda requests: len([r for r in requests if r.ByteSize()]) == 4)
        assert str(sink.requests).count("foreband.loop/") == 3
    finally:
        house.close()


def test_only_anomalous_spans_and_points_are_enriched_where_that_is_asked_for(tmp_path: Path) -> None:
    additions = Additions(spans=Which.ANOMALOUS, metrics=Which.ANOMALOUS)
    with opened(tmp_path, PipelineSettings(destinations=EVERYWHERE, additions=additions)) as room:
        usual, unusual = [forwarded_metrics(room, value) for value in (5.0, 500.0)]
        assert [len(request.resource_metrics) for request in (usual, unusual)] == [1, 2]


def test_each_of_many_requests_gets_the_bands_of_its_own_points(tmp_path: Path) -> None:
    with opened(tmp_path, PipelineSettings(destinations=EVERYWHERE)) as room:
        names = ("b", "a", "c", "unknown")
        room.metrics(*(gauge_request(name, (-120, 5.0)) for name in names))
        for name in names[:3]:
            room.teach(f"{name}/value", 5.0)
        room.metrics(*(gauge_request(name, (-60, 5.0)) for name in names))
        sent = [stored.item.payload for stored in room.writer.outbox.waiting(after=0, limit=99)[-4:]]
        for name, payload in zip(names, sent, strict=True):
            groups = ExportMetricsServiceRequest.FromString(payload).resource_metrics
            assert len(groups) == (1 if name == "unknown" else 2)
            points = [point for metric in groups[-1].scope_metrics[0].metrics for point in metric.gauge.data_points]
            named = {kv.value.string_value for p in points for kv in p.attributes if kv.key == "foreband.metric"}
            assert named == (set() if name == "unknown" else {name})


def test_without_enrichment_everything_leaves_as_the_bytes_that_came(tmp_path: Path) -> None:
    additions = Additions(spans=Which.NONE, metrics=Which.NONE)
    with opened(tmp_path, PipelineSettings(destinations=EVERYWHERE, additions=additions)) as room:
        assert [len(forwarded_metrics(room, value).resource_metrics) for value in (5.0, 500.0)] == [1, 1]
        spans = span_request(1, name="GET /a").SerializeToString()
        room.send(Signal.TRACES, spans)
        assert room.writer.outbox.waiting(after=0, limit=99)[-1].item.payload == spans


def test_requests_that_came_together_leave_together_up_to_a_size(tmp_path: Path) -> None:
    with opened(tmp_path, PipelineSettings(destinations=EVERYWHERE)) as room:
        half = MOST_TOGETHER // 2
        unknown = [wire.field(99, bytes(size)) for size in (0, half, half + 1, 1, 4 * half, 2)]
        room.send(Signal.LOGS, *unknown)
        room.send(Signal.LOGS, wire.field(99, b"later"))
        found = room.writer.outbox.waiting(after=0, limit=99)
        assert [stored.item.payload for stored in found] == [*unknown, wire.field(99, b"later")]
        assert [stored.item.joins for stored in found] == [False, True, False, True, False, False, False]


def test_bands_under_a_prefix_of_ones_own_are_not_modelled_when_they_come_back(tmp_path: Path) -> None:
    with opened(tmp_path, PipelineSettings(additions=Additions(metric_prefix="acme"))) as room:
        room.metrics(gauge_request("acme.yhat", (0, 1)), gauge_request("foreband.yhat", (0, 1)))
        assert room.names() == {}


def forwarded_metrics(room: Room, value: float) -> Any:
    """Return what leaves of a point of a series that is around 5."""
    if not room.desk.keys:
        room.metrics(gauge_request("queue", (-120, 5.0)))
        room.teach("queue/value", 5.0)
    room.metrics(gauge_request("queue", (-60 + value / 1000, value)))
    return ExportMetricsServiceRequest.FromString(room.writer.outbox.waiting(after=0, limit=99)[-1].item.payload)


# What is forwarded is what came, and documented additions


@st.composite
def logs_requests(draw: st.DrawFn) -> bytes:
    request = ExportLogsServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        group = request.resource_logs.add(schema_url=draw(st.sampled_from(["", "x"])))
        group.resource.attributes.extend(draw(stock.attribute_lists))
        for number in draw(st.lists(st.integers(0, 24), max_size=3)):
            record = group.scope_logs.add().log_records.add(severity_number=number, time_unix_nano=draw(stock.times))
            record.body.CopyFrom(draw(stock.any_values))
            record.attributes.extend(draw(stock.attribute_lists))
    return request.SerializeToString() + draw(stock.unknown)


payloads = st.one_of(
    st.tuples(st.just(Signal.METRICS), stock.metrics_requests()),
    st.tuples(st.just(Signal.TRACES), stock.trace_requests()),
    st.tuples(st.just(Signal.LOGS), logs_requests()),
)


def test_of_500_generated_payloads_all_leave_as_they_came_but_for_what_is_added(tmp_path: Path) -> None:
    minutes = itertools.count(10)

    @settings(max_examples=500, database=None)
    @given(payloads)
    def leaves_as_it_came(payload: tuple[Signal, bytes]) -> None:
        signal, generated = payload
        seconds = next(minutes) * 60
        body = generated + judged_item(signal, seconds)  # messages joined are merged
        room.send(signal, body, now=NOW + (seconds + 1) * NANOS_PER_SECOND)
        items = room.writer.outbox.waiting(after=0, limit=9)
        sent = item_of(body, signal, [stored.item for stored in items])
        original = CLASSES[signal].FromString(body)
        plain, added = stripped(CLASSES[signal].FromString(sent), len(groups_of(original)))
        assert plain == original.SerializeToString(deterministic=True)
        assert added >= (signal is not Signal.LOGS)
        room.writer.outbox.done("default", items[-1].item_id)

    with opened(tmp_path, PipelineSettings(destinations=EVERYWHERE)) as room:
        teach_judged_items(room)
        leaves_as_it_came()


def item_of(body: bytes, signal: Signal, items: list[OutboxItem]) -> bytes:
    """Return what leaves of a request; bands of windows that closed meanwhile leave as metrics by themselves."""
    sent = [item.payload for item in items if item.signal is signal]
    (found,) = [payload for payload in sent if signal is not Signal.METRICS or payload.startswith(body)]
    return found


def teach_judged_items(room: Room) -> None:
    """Give the series of `judged_item` models."""
    room.metrics(gauge_request("queue", (0, 5.0)))
    room.spans(span_request(1, name="GET /judged"))
    room.pipeline.tick(NOW + 120 * 1_000_000_000)
    for name in [name for name in room.names() if name.startswith(("queue/value", "traces.span.duration/p"))]:
        room.teach(name, 0.1)
    room.writer.outbox.done("default", room.writer.outbox.waiting(after=0, limit=99)[-1].item_id)


def judged_item(signal: Signal, seconds: int) -> bytes:
    """Return a request with one item unlike any before it, which gets a verdict where there are verdicts."""
    if signal is Signal.METRICS:
        request = gauge_request("queue", (seconds, 5.0))
    elif signal is Signal.TRACES:
        request = span_request(seconds, name="GET /judged")
    else:
        request = ExportLogsServiceRequest()
        request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=NOW + seconds)
    return bytes(request.SerializeToString())


def groups_of(request: Any) -> Any:
    """Return the resource metrics, spans or logs of a request."""
    (groups,) = (getattr(request, field.name) for field in request.DESCRIPTOR.fields)
    return groups


def stripped(request: Any, groups: int) -> tuple[bytes, int]:
    """Take off what Foreband adds, by the stock classes; return the rest and how many things were added."""
    found, added = groups_of(request), 0
    if isinstance(request, ExportMetricsServiceRequest):
        added = len(found) - groups
        names = {m.name for rm in found[groups:] for sm in rm.scope_metrics for m in sm.metrics}
        assert names <= {f"foreband.{name}" for name in ("yhat", "lower", "upper", "score", "anomaly")}
        del found[groups:]
    for group in getattr(request, "resource_spans", []):
        for span in (s for scope in group.scope_spans for s in scope.spans):
            kept = [kv for kv in span.attributes if not kv.key.startswith("foreband.")]
            added += len(span.attributes) - len(kept)
            del span.attributes[:]
            span.attributes.extend(kept)
    text: bytes = request.SerializeToString(deterministic=True)
    return text, added


# Configuration


def configured(*given: dict[str, Any], **more: str) -> Config:
    overrides = [destinations(*given), *(f"forward.{key}={value}" for key, value in more.items())]
    return load_config(overrides=overrides, environ={})


def test_the_short_form_is_a_destination_named_default() -> None:
    config = configured(destination("b", "https://b:1", "logs"), endpoint="http://a:1", compression="none")
    first, second = config.forward.all_destinations()
    assert (first.name, first.endpoint, first.compression, first.signals) == (
        "default",
        "http://a:1",
        "none",
        tuple(Signal),
    )
    assert (second.name, second.signals) == ("b", (Signal.LOGS,))


@pytest.mark.parametrize(
    ("given", "more", "told"),
    [
        ([destination("a", "http://a:1"), destination("a", "http://b:1")], {}, "'a' is there twice"),
        ([destination("default", "http://a:1")], {"endpoint": "http://b:1"}, "'default' is there twice"),
        ([destination("A B", "http://a:1")], {}, "forward.destinations.0.name"),
        ([destination("a", "a:1")], {}, "forward.destinations.0.endpoint"),
        ([destination("a", "http://a:1/otlp")], {}, "should have no path"),
        ([], {"endpoint": "http://a:1/otlp"}, "should have no path"),
        ([destination("a", "http://a:1", "metric")], {}, "did you mean 'metrics'"),
        ([destination("a", "http://a:1", protokol="http")], {}, "did you mean 'protocol'"),
        (
            [destination("a", "http://a:1", tls={"cert_file": "x"})],
            {},
            "cert_file and key_file should be given together",
        ),
        ([], {"attribute_prefix": "Bad Prefix"}, "forward.attribute_prefix"),
    ],
)
def test_a_wrong_destination_is_refused_with_its_place(
    given: list[dict[str, Any]], more: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        configured(*given, **more)


def test_an_unreadable_certificate_is_refused_before_anything_opens(tmp_path: Path) -> None:
    given = destination("a", "https://a:1", tls={"ca_file": str(tmp_path / "none.pem")})
    with pytest.raises(ConfigError, match=r"none\.pem cannot be read"):
        House(tmp_path, destinations(given))
    assert not (tmp_path / "data").exists()


def test_what_waits_for_a_destination_that_is_gone_is_kept_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path, destinations(destination("old", f"http://127.0.0.1:{free_port()}")))
    house.send(Signal.METRICS, house.moment("s").gauge("g", (-60, 1.0)))
    house.close()
    House(tmp_path).close()
    assert "1 requests wait for 'old'" in caplog.text
