import pytest

from collector_processor.signals.measured import GRACE
from collector_processor.telemetry.series import Attributes, Kind, Scope, SeriesKey, Statistic
from collector_processor.telemetry.span_metrics import EdgeRole, EdgeSeries, RedRole, edge_of, red_of
from tests.signals.room import SECOND, Room, span_metrics, spans

GRACE_SECONDS = GRACE / SECOND
DOTTED: Attributes = (("span.kind", "SPAN_KIND_SERVER"), ("span.name", "GET /"), ("status.code", "STATUS_CODE_ERROR"))
UNDERSCORED: Attributes = (
    ("service_name", "shop"),
    ("span_kind", "SPAN_KIND_SERVER"),
    ("span_name", "GET /"),
    ("status_code", "STATUS_CODE_ERROR"),
)
TEMPO: Attributes = tuple((k.replace("service_name", "service"), v) for k, v in UNDERSCORED)
SHOP: Attributes = (("service.name", "shop"), ("service.namespace", "eu"))
SCRAPED: Attributes = (("service.name", "tempo"),)


def key(metric: str, attributes: Attributes, resource: Attributes = SHOP) -> SeriesKey:
    return SeriesKey(resource, Scope(), metric, "", Kind.COUNTER_CUMULATIVE, Statistic.RATE, attributes)


@pytest.mark.parametrize(
    ("metric", "attributes", "resource", "role"),
    [
        ("calls", DOTTED, SHOP, RedRole.CALLS),
        ("duration", DOTTED, SHOP, RedRole.DURATION),
        ("traces.span.metrics.calls", DOTTED, SHOP, RedRole.CALLS),
        ("traces.span.metrics.duration", DOTTED, SHOP, RedRole.DURATION),
        ("traces_span_metrics_calls_total", UNDERSCORED, SCRAPED, RedRole.CALLS),
        ("traces_span_metrics_duration_milliseconds", UNDERSCORED, SCRAPED, RedRole.DURATION),
        ("traces_span_metrics_duration_milliseconds_bucket", UNDERSCORED, SCRAPED, RedRole.DURATION),
        ("traces_spanmetrics_calls_total", TEMPO, SCRAPED, RedRole.CALLS),
        ("traces_spanmetrics_latency", TEMPO, SCRAPED, RedRole.DURATION),
    ],
)
def test_span_metrics_are_recognised_in_every_spelling(
    metric: str, attributes: Attributes, resource: Attributes, role: RedRole
) -> None:
    red = red_of(key(metric, attributes, resource))
    assert red is not None
    assert (red.role, red.span_name, red.span_kind, red.is_error) == (role, "GET /", "server", True)
    assert red.service.covers((("service.name", "shop"), ("service.namespace", "eu")))
    assert not red.service.covers((("service.name", "cart"),))


def test_span_metrics_of_a_namespace_do_not_cover_the_same_name_in_another() -> None:
    red = red_of(key("calls", DOTTED))
    assert red is not None
    assert not red.service.covers((("service.name", "shop"), ("service.namespace", "us")))


@pytest.mark.parametrize(
    ("metric", "attributes"),
    [
        ("calls", ()),
        ("duration", (("span.name", "x"),)),
        ("latency", DOTTED),
        ("traces.span.calls", DOTTED),
        ("http.server.duration", DOTTED),
        ("traces_span_metrics_size", DOTTED),
    ],
)
def test_metrics_that_only_sound_like_it_are_left_alone(metric: str, attributes: Attributes) -> None:
    assert red_of(key(metric, attributes)) is None


@pytest.mark.parametrize(
    ("metric", "role"),
    [
        ("traces_service_graph_request_total", EdgeRole.REQUESTS),
        ("traces_service_graph_request_failed_total", EdgeRole.FAILED),
        ("traces_service_graph_request_server_seconds", EdgeRole.SERVER_DURATION),
        ("traces_service_graph_request_client_seconds", EdgeRole.CLIENT_DURATION),
    ],
)
def test_service_graphs_are_recognised(metric: str, role: EdgeRole) -> None:
    attributes: Attributes = (("client", "web"), ("connection_type", "database"), ("server", "db"))
    assert edge_of(key(metric, attributes)) == EdgeSeries(role, "web", "db", "database")
    assert edge_of(key(metric, ())) is None
    assert edge_of(key("traces_service_graph_unpaired_spans_total", attributes)) is None


def rates(room: Room, service: str = "shop") -> dict[float, float]:
    found = {
        time: value
        for (series, time), value in room.stored.items()
        if room.keys[series].metric == "traces.span.calls" and room.keys[series].service == service
    }
    return {(t - min(found)) / SECOND: v for t, v in sorted(found.items())}


def send(room: Room, time: float, *, is_measured: bool, service: str = "shop") -> None:
    """Send a span metrics point and a span, as of `time`."""
    if is_measured:
        room.take_metrics(span_metrics("shop", time, time), now=time)
    room.take_spans(spans([(service, "GET /", time, 0.1, False)]), now=time)


def test_spans_of_a_service_with_span_metrics_are_taken_and_make_no_series() -> None:
    room = Room()
    room.take_metrics(span_metrics("shop", 0.0), now=0)
    consumed = room.take_spans(spans([("shop", "GET /", 61, 0.1, False), ("cart", "GET /", 61, 0.1, False)]), now=61)
    assert consumed.settlements[0].stored == 2
    assert {k.service for k in room.keys if k.kind is Kind.SPAN} == {"cart"}


def test_span_metrics_take_over_between_two_windows() -> None:
    room = Room()
    for time in range(5, 400, 10):
        send(room, time, is_measured=time > 130)
    room.flush(600)
    assert rates(room) == dict.fromkeys([0.0, 60.0, 120.0], 6 / 60)


def test_spans_are_taken_over_again_after_a_grace_and_not_sooner() -> None:
    room = Room()
    last = 600.0
    for time in range(0, int(last + GRACE_SECONDS) + 300, 30):
        send(room, time, is_measured=time <= last and time % 300 == 0)  # reports are skipped for minutes
    room.flush(last + GRACE_SECONDS + 600)
    times = sorted(t for (s, t), _ in room.stored.items() if room.keys[s].metric == "traces.span.calls")
    assert min(times) == times[0]
    assert (times[0] - spans([("x", "y", 0, 0, False)]).end_unix_nano[0]) / SECOND == last + GRACE_SECONDS + 60
    assert set(rates(room).values()) == {2 / 60}


def test_a_restart_forgets_neither_who_is_measured_nor_since_when() -> None:
    room = Room()
    room.take_metrics(span_metrics("shop", 0.0), now=0)
    room.restart()
    send(room, 70.0, is_measured=False)
    assert not [k for k in room.keys if k.kind is Kind.SPAN]


def test_old_span_metrics_say_nothing_of_spans_today() -> None:
    room = Room()
    room.take_metrics(span_metrics("shop", -86400.0), now=0)
    send(room, 10.0, is_measured=False)
    assert [k for k in room.keys if k.kind is Kind.SPAN]
