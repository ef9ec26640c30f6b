"""Bad input and trouble inside, against a whole Foreband and with a real client.

Every row of the table is a service of its own. After each test, whatever it did: the process lives, a good request is
taken, and the ledger balances.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from collector_processor.errors import StoreError
from collector_processor.ledger import Signal
from collector_processor.memory import Pressure
from collector_processor.otlp.status import REASON_TEXT, retry_delay
from collector_processor.pipeline import Pipeline
from collector_processor.pipeline.request import Request
from collector_processor.signals.outcome import Outcome
from collector_processor.store.base import Commit
from collector_processor.store.sqlite import SqliteWriter
from tests.bad_inputs import HOSTILE, NAN, OTHER, ROWS, SPANS, UNKNOWN, Row, gauge_bytes, part
from tests.house import PATIENCE, SECOND, House, Moment, same
from tests.otlp.stock import (
    ExportLogsServiceRequest,
    ExportMetricsServiceRequest,
    ExportTraceServiceRequest,
    any_value,
)
from tests.otlp.test_json_request import spelled as as_json
from tests.pipeline_room import calm_seed, flat_model
from tests.process import wait_until
from tests.raw_http import JSON, PROTOBUF, Answer
from tests.sink import Sink


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"), "receiver.max_message=4MiB", "receiver.max_in_flight=8")
    yield house
    house.close()


@pytest.fixture(autouse=True)
def still_well(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "house" in request.fixturenames:
        is_well(request.getfixturevalue("house"))


def is_well(house: House) -> None:
    """Assert that a good request is taken and stored, that it says it is ready, and that the ledger balances."""
    house.clock.advance(1)
    moment = house.moment("good")
    assert house.send(Signal.METRICS, moment.gauge("good", (0, 1.0))) == b""
    assert house.stored(moment)["good/value"][-1] == (0, 1.0)
    with urlopen(f"http://{house.addresses.http}/readyz", timeout=10) as response:
        assert response.status == 200
    house.assert_balanced()


@pytest.mark.parametrize("name", ROWS)
def test_a_bad_input_has_its_stated_answer(house: House, name: str) -> None:
    row, moment = ROWS[name], house.moment(name)
    requests = row.send(moment)
    if row.code is not None:
        for request in requests:
            error = house.fail(row.signal, request)
            assert (error.code(), retry_delay(error.trailing_metadata())) == (row.code, None)
            assert row.says in error.details(), error.details()
        assert house.stored(moment) == {}
        return
    answers = [ExportMetricsServiceResponse.FromString(house.send(row.signal, r)).partial_success for r in requests]
    assert sum(a.rejected_data_points for a in answers) == sum(row.rejected.values())
    said = " ".join(a.error_message for a in answers)
    assert all(REASON_TEXT[reason] in said for reason in row.rejected), said
    assert_the_rest_is_stored(house, row, moment)


def assert_the_rest_is_stored(house: House, row: Row, moment: Moment) -> None:
    if row.signal is not Signal.METRICS:
        house.close_windows()
    found = house.stored(moment)
    if callable(row.stored):
        row.stored(found)
    else:
        assert same(found, row.stored), found


HTTP_CODE = {grpc.StatusCode.INVALID_ARGUMENT: 400, grpc.StatusCode.RESOURCE_EXHAUSTED: 413}


@pytest.mark.parametrize("name", ROWS)
def test_a_bad_input_has_the_same_answer_over_http(house: House, name: str) -> None:
    row, moment = ROWS[name], house.moment(f"{name} over HTTP")
    requests = row.send(moment)
    media = PROTOBUF if any(isinstance(r, bytes) for r in requests) else JSON
    answers = [house.post(row.signal, spelled(r, media), media) for r in requests]
    if row.code is not None:
        for answer in answers:
            assert answer.code == HTTP_CODE[row.code]
            assert (answer.status().code, "retry-after" in answer.headers) == (row.code.value[0], False)
            assert row.says in answer.status().message or answer.code == 413
        assert house.stored(moment) == {}
        return
    assert {answer.code for answer in answers} == {200}
    assert sum(rejected_by(answer) for answer in answers) == sum(row.rejected.values())
    assert_the_rest_is_stored(house, row, moment)


def spelled(request: Any, media: str) -> bytes:
    if media == JSON:
        return json.dumps(as_json(request)).encode()
    return request if isinstance(request, bytes) else bytes(request.SerializeToString())


def rejected_by(answer: Answer) -> int:
    if answer.headers["content-type"] == PROTOBUF:
        return int(ExportMetricsServiceResponse.FromString(answer.body).partial_success.rejected_data_points)
    partial_success = json.loads(answer.body).get("partialSuccess", {})
    return int(next((number for key, number in partial_success.items() if key.startswith("rejected")), 0))


def test_a_server_short_of_memory_gives_up_stage_by_stage_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = [0.0]
    monkeypatch.setattr("collector_processor.memory.resident_memory", lambda: used[0] * (1 << 30))
    monkeypatch.setattr("collector_processor.memory.CHECK_SECONDS", 0.02)
    house = House(tmp_path, "memory.limit=1GiB")
    try:
        moment, gate = house.moment("s"), house.foreband._doors.gate
        house.send(Signal.METRICS, moment.gauge("old", (-60, 1.0)))
        used[0] = 0.79
        assert wait_until(lambda: house.foreband._pressure is Pressure.SERIES)
        house.foreband._consumer.call(lambda _now: None).result()
        for name, rejected in (("old", 0), ("new", 1)):
            answer = house.send(Signal.METRICS, moment.gauge(name, (0, 2.0)))
            assert ExportMetricsServiceResponse.FromString(answer).partial_success.rejected_data_points == rejected
        used[0] = 0.81
        assert wait_until(lambda: gate.is_short_of_memory)
        error = house.fail(Signal.METRICS, moment.gauge("old", (1, 3.0)))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert 1 <= (retry_delay(error.trailing_metadata()) or 0) <= 30
        refused = house.post(Signal.METRICS, moment.gauge("old", (1, 3.0)).SerializeToString())
        assert (refused.code, refused.headers["retry-after"]) == (503, "2")
        assert house.foreband.not_ready() == "short of memory"
        strict(house, "/api/v1/catalog")
        used[0] = 0.96
        assert wait_until(lambda: house.foreband._pressure is Pressure.QUERIES)
        with pytest.raises(HTTPError, match="503"):
            strict(house, "/api/v1/catalog")
        used[0] = 0.5
        assert wait_until(lambda: not gate.is_short_of_memory)
        for name in ("old", "new"):
            house.send(Signal.METRICS, moment.gauge(name, (1, 3.0)))
        assert house.stored(moment) == {"old/value": [(-60, 1.0), (0, 2.0), (1, 3.0)], "new/value": [(1, 3.0)]}
        assert house.foreband.ledger.row(Signal.METRICS).refused == {"memory": 2}
    finally:
        house.close()


def test_fifty_large_callers_at_once_are_bounded_together(house: House) -> None:
    body = b"\xc2\x3e\xfb\xff\x7f" + bytes((2 << 20) - 5)
    with held(house):
        calls = [house.method(Signal.METRICS).future(body + bytes([0xC0, 0x3E, i]), timeout=20) for i in range(50)]
        assert wait_until(lambda: sum(call.done() for call in calls) >= 50 - 8)
    codes = Counter(call.code() for call in calls)
    assert codes.keys() <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert codes[grpc.StatusCode.OK] <= 8


def test_every_reason_is_told_in_words() -> None:
    assert {outcome.reason for outcome in Outcome if outcome > Outcome.CONFLICT} <= REASON_TEXT.keys()


@pytest.mark.parametrize("signal", [Signal.TRACES, Signal.LOGS])
def test_a_service_whose_name_is_a_megabyte_is_rejected(house: House, signal: Signal) -> None:
    moment = Moment(house.clock.now_unix_nano(), "s" * (1 << 20))
    request = moment.spans({}) if signal is Signal.TRACES else moment.logs({})
    answer = ExportMetricsServiceResponse.FromString(house.send(signal, request)).partial_success
    assert answer.rejected_data_points == 1
    assert REASON_TEXT["bad_attributes"] in answer.error_message


def test_attribute_values_of_other_types_are_other_series(house: House) -> None:
    moment = house.moment("types")
    for k in (1, 1.0, True, "1", b"1", [1], {"a": 1}, [], "", 1):
        house.send(Signal.METRICS, moment.gauge("g", (0, 1.0), k=k))
    keys = {key for _, key in house.read(lambda reader: reader.catalog()) if key.service == "types"}
    assert len(keys) == 9


def test_an_unknown_method_is_unimplemented(house: House) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        house.channel.unary_unary("/a.B/C", None, None)(b"", timeout=10)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_gzip_bomb_is_refused_by_its_inflated_size(house: House) -> None:
    error = house.fail(Signal.METRICS, bytes(64 << 20), compression=grpc.Compression.Gzip)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_sender_that_gave_up_and_sends_again_is_counted_once(house: House) -> None:
    moment = house.moment("impatient")
    body = moment.spans({}, {}, {}).SerializeToString()
    with held(house):
        calls = [house.method(Signal.TRACES).future(body, timeout=0.05) for _ in range(3)]
        assert {call.code() for call in calls} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    house.send(Signal.TRACES, body)
    house.close_windows()
    assert house.stored(moment)[SPANS + "GET /"] == [(0, 3 / 60)]


def test_two_hundred_callers_at_once_lose_nothing(house: House) -> None:
    moment = house.moment("crowd")
    bodies = [moment.gauge("g", (-i, float(i))).SerializeToString() for i in range(200)]
    with held(house):
        calls = [house.method(Signal.METRICS).future(body, timeout=20) for body in bodies]
        assert wait_until(lambda: sum(call.done() for call in calls) == 200 - 8)
        refused = [(body, call) for body, call in zip(bodies, calls, strict=True) if call.done()]
    for body, call in refused:
        assert call.code() is grpc.StatusCode.UNAVAILABLE
        if call.details() == "not now: overload":  # else gRPC refused the stream before anybody saw it
            assert 1 <= (retry_delay(call.trailing_metadata()) or 0) <= 30
        wait_until(partial(is_taken, house, body))
    assert {call.code() for call in calls} == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert house.stored(moment)["g/value"] == [(-i, float(i)) for i in reversed(range(200))]


def is_taken(house: House, body: bytes) -> bool:
    call = house.method(Signal.METRICS).future(body, timeout=20)
    assert call.code() in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    return call.code() is grpc.StatusCode.OK


@contextmanager
def held(house: House) -> Iterator[None]:
    """Keep the consumer busy, so that requests wait."""
    begun, release = Event(), Event()

    def wait_for_release(_now: int) -> bool:
        begun.set()
        return release.wait(PATIENCE)

    held = house.foreband._consumer.call(wait_for_release)
    assert begun.wait(PATIENCE)  # else requests could be taken together with the call, and before it
    try:
        yield
    finally:
        release.set()
        assert held.result(PATIENCE)


def test_a_request_that_breaks_the_pipeline_costs_only_itself(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    derive = Pipeline._derive

    def break_on_poison(pipeline: Pipeline, requests: Sequence[Request], now: int) -> Any:
        if any(b"poison" in request.body for request in requests):
            raise ZeroDivisionError("a secret")
        return derive(pipeline, requests, now)

    monkeypatch.setattr(Pipeline, "_derive", break_on_poison)
    moment, poison = house.moment("beside"), house.moment("poison")
    with held(house):
        bad = house.method(Signal.METRICS).future(poison.gauge("g", (0, 1.0)).SerializeToString(), timeout=20)
        good = [
            house.method(Signal.METRICS).future(moment.gauge("g", (-i, 1.0)).SerializeToString(), timeout=20)
            for i in range(4)
        ]
        assert wait_until(lambda: house.foreband._consumer._queue.qsize() >= 5)
    assert (bad.code(), bad.details()) == (grpc.StatusCode.INTERNAL, "internal error")
    assert [call.result() for call in good] == [b""] * 4
    assert len(house.stored(moment)["g/value"]) == 4
    assert "ZeroDivisionError" in caplog.text


def test_a_store_that_fails_is_retryable_and_leaves_nothing_behind(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = house.moment("disk")
    body = moment.sum("c", (-60, 60.0), (0, 120.0)).SerializeToString()
    commit = SqliteWriter.commit

    def fail(writer: SqliteWriter, batch: Commit) -> None:
        if batch.receipts:
            raise StoreError("the disk is full")
        commit(writer, batch)

    monkeypatch.setattr(SqliteWriter, "commit", fail)
    error = house.fail(Signal.METRICS, body)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert retry_delay(error.trailing_metadata()) == 1
    assert house.stored(moment) == {}
    monkeypatch.undo()
    assert house.send(Signal.METRICS, body) == b""
    assert house.stored(moment) == {"c/total": [(-60, 60.0), (0, 120.0)], "c/rate": [(0, 1.0)]}


def test_housekeeping_that_breaks_does_not_end_the_consumer(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_pipeline: Pipeline, _now: int, **_: bool) -> None:
        raise ZeroDivisionError

    moment = house.moment("unlucky")
    house.send(Signal.TRACES, moment.spans({}))
    monkeypatch.setattr(Pipeline, "tick", fail)
    house.clock.advance(2 * SECOND)
    assert wait_until(lambda: "saving state failed" in caplog.text)
    monkeypatch.undo()
    house.close_windows()
    assert house.stored(moment)[SPANS + "GET /"] == [(0, 1 / 60)]


def test_ten_times_the_series_limit_takes_nothing_from_those_that_exist(tmp_path: Path) -> None:
    house = House(tmp_path, "series.limit=50")
    try:
        moment = house.moment("s")
        house.send(Signal.METRICS, merged(moment.gauge(f"g{i}", (-60, 1.0)) for i in range(40)))
        answer = house.send(Signal.METRICS, merged(moment.gauge(f"g{i}", (0, 2.0)) for i in range(500)))
        rejected = ExportMetricsServiceResponse.FromString(answer).partial_success
        assert rejected.rejected_data_points == 450
        assert REASON_TEXT["series_limit"] in rejected.error_message
        found = house.stored(moment)
        assert len(found) == 50
        assert all(found[f"g{i}/value"] == [(-60, 1.0), (0, 2.0)] for i in range(40))
        assert house.foreband.ledger.row(Signal.METRICS).rejected == {"series_limit": 450}
    finally:
        house.close()


def test_an_operation_keeps_counting_past_the_series_limit(tmp_path: Path) -> None:
    house = House(tmp_path, "series.limit=12")
    try:
        moment = house.moment("s")
        house.send(Signal.TRACES, moment.spans({}))
        house.send(Signal.TRACES, moment.spans({}, *({"name": f"GET /item{i}"} for i in range(120))))
        house.close_windows()
        found = house.stored(moment)
        assert found[SPANS + "GET /"] == [(0, 2 / 60)]
        assert found[OTHER] == [(0, 119 / 60)]
    finally:
        house.close()


def test_hostile_names_are_served_as_they_are_and_forge_no_log_line(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    for name in HOSTILE:
        moment = Moment(house.clock.now_unix_nano(), name)
        house.send(Signal.METRICS, moment.gauge(f"verbatim {name}"[:1024], (-1, 2.0), (0, NAN), **{name[:100]: name}))
    house.clock.advance(2 * SECOND)  # the catalog that people see is up to a second old
    catalog = strict(house, "/api/v1/catalog?limit=1000&search=verbatim")["series"]
    assert {row["metric"] for row in catalog} == {f"verbatim {name}"[:1024] for name in HOSTILE}
    for row in catalog:
        rows = strict(house, f"/api/v1/series/{row['id']}/forecast")
        assert 2.0 in [r["actual"] for r in rows]
    strict(house, "/prom/api/v1/labels")
    strict(house, "/prom/api/v1/query?query=foreband_actual")
    assert not caplog.records
    assert [path.name for path in house.directory.parent.iterdir()] == ["data"]


def strict(house: House, path: str) -> Any:
    """Get JSON that every strict parser takes."""

    def refuse(token: str) -> Any:
        raise AssertionError(token)

    with urlopen(f"http://{house.addresses.http}{path}", timeout=10) as response:
        return json.loads(response.read(), parse_constant=refuse)


def test_everything_leaves_as_it_came_but_for_what_is_added(tmp_path: Path) -> None:
    sink = Sink()
    house = House(tmp_path, f"forward.endpoint={sink.endpoint}")
    try:
        moment = house.moment("s")
        all_bad = moment.spans({"end_time_unix_nano": 0}).SerializeToString()
        house.send(Signal.TRACES, all_bad)  # the very first thing it sees
        house.send(Signal.METRICS, moment.gauge("g", (-60, 1.0)))
        house.send(Signal.TRACES, moment.spans({}))
        house.close_windows()
        teach(house)
        now = house.moment("s")
        spans = now.spans({"trace_id": bytes(range(16)), "trace_state": "a=b", "flags": 257}, {"name": "new"}, {})
        bodies = {
            Signal.METRICS: gauge_bytes(now, extra=UNKNOWN) + UNKNOWN,
            Signal.TRACES: with_unknown(spans),
            Signal.LOGS: now.logs({}, {"body": any_value("x"), "time_unix_nano": 0}).SerializeToString() + UNKNOWN,
        }
        for signal, body in bodies.items():
            house.send(signal, body)
        assert sink.wait_for(lambda requests: all(list(left(signal, requests, b)) for signal, b in bodies.items()))
        (metrics,), (traces,) = (left(s, sink.requests, bodies[s]) for s in (Signal.METRICS, Signal.TRACES))
        bands = metrics.resource_metrics[1].scope_metrics[0].metrics
        assert bands[0].name == "foreband.yhat"
        keys = [[kv.key for kv in span.attributes] for span in traces.resource_spans[0].scope_spans[0].spans]
        assert ["foreband.anomaly" in k for k in keys] == [True, False, True]
        assert [r.SerializeToString() for r in left(Signal.TRACES, sink.requests, all_bad)] == [all_bad]
    finally:
        house.close()
        sink.close()


def teach(house: House) -> None:
    """Give every modelled series a forecast and a calibration, as the trainer would."""
    series = [(i, key) for i, key in house.read(lambda reader: reader.catalog()) if key.statistic.is_modelled]
    models = [flat_model(i, 1.0) for i, _ in series]
    seeds = [(i, calm_seed(1.0)) for i, _ in series]
    desk = house.foreband._desk
    fleet = desk.fleet.with_models(models)
    house.foreband._consumer.call(lambda _now: desk.publish(fleet, models, seeds)).result(PATIENCE)


def with_unknown(request: Any) -> bytes:
    """Put unknown fields into each span, its group, and the request."""
    group = request.resource_spans[0]
    spans = [part(2, s.SerializeToString() + UNKNOWN) for s in group.scope_spans[0].spans]
    resource = part(1, group.resource.SerializeToString() + UNKNOWN)
    return part(1, resource + part(2, b"".join(spans) + UNKNOWN) + UNKNOWN) + UNKNOWN


def left(signal: Signal, requests: Sequence[Any], body: bytes) -> list[Any]:
    """Return the forwarded requests that are `body` once what Foreband adds is taken off, by the stock classes."""
    stock: Any = STOCK[signal]
    original = stock.FromString(body).SerializeToString(deterministic=True)
    return [r for r in requests if isinstance(r, stock) and stripped(r) == original]


def stripped(request: Any) -> bytes:
    plain = type(request).FromString(request.SerializeToString())
    if isinstance(plain, ExportMetricsServiceRequest):
        del plain.resource_metrics[1:]
    for group in getattr(plain, "resource_spans", []):
        for span in group.scope_spans[0].spans:
            kept = [kv for kv in span.attributes if not kv.key.startswith("foreband.")]
            del span.attributes[:]
            span.attributes.extend(kept)
    text: bytes = plain.SerializeToString(deterministic=True)
    return text


STOCK = {
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


def merged(requests: Iterable[Any]) -> Any:
    whole = ExportMetricsServiceRequest()
    for request in requests:
        whole.MergeFrom(request)
    return whole
