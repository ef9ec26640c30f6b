import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector_processor.clock import HOUR, MINUTE
from collector_processor.config.policy import PolicyConfig
from collector_processor.detect.known import SERIES_PER_BLOB, blob_names
from collector_processor.errors import StoreError
from collector_processor.ledger import Signal
from collector_processor.pipeline import PipelineSettings
from collector_processor.pipeline.overview import need
from collector_processor.policy import Policies
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import SqliteWriter, open_writer
from collector_processor.telemetry.band import BAND_DTYPE, Reason
from collector_processor.telemetry.episode import SILENCE
from collector_processor.telemetry.service_graph import GRAPH_BLOB, ServiceGraph
from collector_processor.telemetry.verdict import State
from tests.otlp.stock import Metric, attribute, request_with
from tests.pipeline_room import NOW, SECOND, Room, counter_request, flat_model, gauge_request, opened, span_request

FORWARDING = PipelineSettings(destinations=dict.fromkeys(Signal, ("default",)))


def test_a_gauge_is_stored_before_it_is_answered(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        (answer,) = room.metrics(gauge_request("cpu", (-60, 1.5), (0, 2.5)))
        assert not answer.rejected
        assert room.points("cpu/value") == [(-60, 1.5), (0, 2.5)]
        assert room.ledger.row(Signal.METRICS).stored == 2


def test_several_requests_are_one_commit_and_each_gets_its_own_answer(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        answers = room.metrics(gauge_request("a", (0, 1)), gauge_request("b", (0, 1), (7200, 2)), gauge_request("c"))
        assert [dict(a.rejected) for a in answers] == [{}, {"time_in_future": 1}, {}]
        assert room.ledger.row(Signal.METRICS).rejected == {"time_in_future": 1}


def test_a_resent_request_changes_nothing_and_gets_the_same_answer(tmp_path: Path) -> None:
    request = gauge_request("cpu", (0, 1), (7200, 2))
    with opened(tmp_path) as room:
        first = room.metrics(request)
        assert [room.metrics(request), room.metrics(request, request)] == [first, first * 2]
        assert room.points("cpu/value") == [(0, 1)]
        assert room.ledger.row(Signal.METRICS).received == 8


def test_receipts_are_forgotten_after_an_hour(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        room.spans(span_request(1))
        room.pipeline.maintain(NOW + 3599 * SECOND, 0.01)
        room.spans(span_request(1), now=NOW + 3599 * SECOND)
        assert room.ledger.row(Signal.TRACES).stored == 2
        room.pipeline.maintain(NOW + 3601 * SECOND, 0.01)
        (answer,) = room.spans(span_request(1), now=NOW + 3601 * SECOND)
        assert answer.rejected == {"late": 1}  # judged anew: its window is long closed


def test_resent_spans_are_counted_once_also_after_a_restart(tmp_path: Path) -> None:
    request = span_request(1, 2, 3)
    with opened(tmp_path) as room:
        room.spans(request)
    with opened(tmp_path) as room:
        room.spans(request)
        room.pipeline.tick(NOW)
        room.pipeline.tick(NOW + 200 * SECOND)
        assert room.points("traces.span.calls/rate/server/GET /") == [(60, 3 / 60)]


def test_the_rate_of_a_counter_goes_on_after_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        room.metrics(counter_request("orders", (-60, 100)))
    with opened(tmp_path) as room:
        room.metrics(counter_request("orders", (0, 160)))
        assert room.points("orders/rate") == [(0, 1.0)]
        assert room.points("orders/total") == [(-60, 100), (0, 160)]


def test_spans_of_an_open_window_survive_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        room.spans(span_request(1, 2), span_request(3, is_error=True))
    with opened(tmp_path) as room:
        room.spans(span_request(4))
        room.pipeline.tick(NOW)
        room.pipeline.tick(NOW + 200 * SECOND)
        assert room.points("traces.span.calls/rate/server/GET /") == [(60, 4 / 60)]
        assert room.points("traces.span.errors/error_ratio/server/GET /") == [(60, 0.25)]
        assert len(room.writer.events()) == 0


class FailingOnce(SqliteWriter):
    """A store whose next commit fails when told to."""

    is_broken = False

    def commit(self, commit: Commit) -> None:
        if self.is_broken:
            self.is_broken = False
            raise StoreError("the disk is full")
        super().commit(commit)


def test_a_failed_commit_leaves_no_trace_and_the_resend_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_failing(directory: Path, settings: StoreSettings) -> SqliteWriter:
        monkeypatch.setattr("collector_processor.store.sqlite.SqliteWriter", FailingOnce)
        return open_writer(directory, settings)

    with opened(tmp_path, open_store=open_failing) as room:
        room.metrics(counter_request("orders", (-60, 100)))
        assert isinstance(room.writer, FailingOnce)
        room.writer.is_broken = True
        second, spans = counter_request("orders", (0, 160)), span_request(1)
        with pytest.raises(StoreError):
            room.metrics(second)
        room.pipeline.recover(NOW)
        room.metrics(second)
        room.writer.is_broken = True
        with pytest.raises(StoreError):
            room.spans(spans)
        room.pipeline.recover(NOW)
        room.spans(spans)
        room.pipeline.tick(NOW)
        room.pipeline.tick(NOW + 200 * SECOND)
        assert room.points("orders/rate") == [(0, 1.0)]
        assert room.points("traces.span.calls/rate/server/GET /") == [(60, 1 / 60)]


def test_a_point_is_judged_by_the_model_that_had_not_seen_it(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        room.metrics(gauge_request("cpu", (-60, 10)))
        room.teach("cpu/value", level=10)
        room.metrics(gauge_request("cpu", (0, 10.2)))
        room.metrics(gauge_request("cpu", (60, 50)))
        verdicts = room.judged("cpu/value")
        assert math.isnan(verdicts.yhat[0])
        assert verdicts.yhat[1:].tolist() == [10, 10]
        assert verdicts.anomaly.tolist() == [0, 0, 1]
        assert verdicts.upper[2] < 50
        assert verdicts.score[2] > 1


def test_an_anomaly_opens_an_episode_in_the_same_commit(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        room.metrics(gauge_request("cpu", (-60, 10)))
        room.teach("cpu/value", level=10)
        room.metrics(gauge_request("cpu", (0, 50)))
        (episode,) = room.writer.open_episodes()
        assert (episode.direction, episode.start_unix_nano, episode.actual) == (1, NOW, 50)


def test_calibration_and_open_episodes_survive_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        room.metrics(gauge_request("cpu", (-60, 10)))
        room.teach("cpu/value", level=10)
        room.metrics(gauge_request("cpu", (0, 50)))
        room.pipeline.tick(NOW, is_last=True)
        before = room.desk.saved_bands.copy()
    with opened(tmp_path) as room:
        room.pipeline.tick(NOW, is_last=True)
        assert room.desk.open_episodes == 1
        assert room.desk.saved_bands.tobytes() == before.tobytes()


def test_a_marked_series_is_degraded_with_its_reason_until_the_mark_is_taken_back(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        room.metrics(gauge_request("cpu", (-60, 10)))
        room.teach("cpu/value", level=10)
        series = np.array([0], np.int32)
        for reason, state in (
            (Reason.FIT_FAILED, State.DEGRADED),
            (Reason.STALE_MODEL, State.DEGRADED),
            (Reason.NONE, State.ACTIVE),
        ):
            room.desk.mark(series, np.array([reason], np.uint8))
            room.pipeline.tick(NOW, is_last=True)
            assert room.writer.bands()["reason"].tolist() == [reason]
            assert room.writer.bands()["state"].tolist() == [(State.WARMING, State.ACTIVE, State.DEGRADED).index(state)]
            assert room.desk.overview().mark.tolist() == [reason]


def test_series_whose_band_keeps_less_than_it_promises_are_in_need() -> None:
    bands = np.zeros(5, BAND_DTYPE)
    bands["scored"] = (287, 1000, 1000, 1000, 0)
    bands["inside"][:, 1] = (0, 951, 901, 700, 0)
    bands["reason"][4] = Reason.FORECASTS_DISAGREE
    assert need(bands).tolist() == pytest.approx([0.0, 0.0, 0.0, 0.25, 1.0])


def test_the_state_of_many_series_is_saved_a_part_at_a_time(tmp_path: Path) -> None:
    first, second = blob_names(SERIES_PER_BLOB + 1)
    with opened(tmp_path) as room:
        many = Metric(name="many")
        for host in range(SERIES_PER_BLOB + 1):
            many.gauge.data_points.add(time_unix_nano=NOW, as_double=1.0).attributes.add(
                key="host"
            ).value.int_value = host
        room.metrics(request_with(many))
        saved = []
        room.pipeline.tick(NOW)
        for seconds in (0, 1, 2):
            room.pipeline.save(NOW + seconds * SECOND)
            saved.append([room.writer.blob(name) is not None for name in (first, second)])
        assert saved == [[True, False], [True, True], [True, True]]
        assert room.writer.bands().size == SERIES_PER_BLOB + 1
        assert room.writer.bands().tobytes() == room.desk.saved_bands.tobytes()


def test_saved_state_of_another_version_is_made_anew_and_counted(tmp_path: Path) -> None:
    (name,) = blob_names(1)
    with opened(tmp_path) as room:
        room.metrics(gauge_request("cpu", (-60, 10)))
        room.teach("cpu/value", level=10)
        room.pipeline.tick(NOW, is_last=True)
        assert room.desk.discarded() == {"bands": 0, "detector": 0, "models": 0}
        unreadable = replace(flat_model(0, 10, version=2), parameters=b"of another version")
        foreign = {"\0bands/00000000": b"the layout of another version", name: b"that of the detector"}
        room.writer.commit(Commit(models=[unreadable], blobs=foreign))
    with opened(tmp_path) as room:
        assert room.desk.discarded() == {"bands": 1, "detector": 1, "models": 1}
        room.metrics(gauge_request("cpu", (0, 50)))
        room.pipeline.tick(NOW, is_last=True)
        assert room.points("cpu/value") == [(-60, 10.0), (0, 50.0)]
        assert room.writer.bands().size == 1
    with opened(tmp_path) as room:
        assert room.desk.discarded() == {"bands": 0, "detector": 0, "models": 1}


def test_a_metrics_request_leaves_as_it_came_followed_by_its_bands(tmp_path: Path) -> None:
    with opened(tmp_path, FORWARDING) as room:
        room.metrics(gauge_request("cpu", (-60, 10), host="h1"))
        room.teach("cpu/value/h1", level=10)
        request = gauge_request("cpu", (0, 50), host="h1")
        room.metrics(request)
        unjudged, judged = (stored.item.payload for stored in room.writer.outbox.waiting(after=0, limit=9))
        assert unjudged == gauge_request("cpu", (-60, 10), host="h1").SerializeToString()
        assert judged.startswith(request.SerializeToString())
        added = ExportMetricsServiceRequest.FromString(judged).resource_metrics[1]
        assert added.resource == request.resource_metrics[0].resource
        names = {m.name: m.gauge.data_points[0] for m in added.scope_metrics[0].metrics}
        assert names["foreband.yhat"].as_double == 10
        assert names["foreband.anomaly"].as_int == 1
        attributes = {kv.key: kv.value.string_value for kv in names["foreband.score"].attributes}
        assert attributes == {"host": "h1", "foreband.metric": "cpu", "foreband.statistic": "value"}


def test_spans_leave_with_a_verdict_once_their_operation_has_a_forecast(tmp_path: Path) -> None:
    with opened(tmp_path, FORWARDING) as room:
        room.spans(span_request(-100))
        for statistic in ("p50", "p95", "p99"):
            room.teach(f"traces.span.duration/{statistic}/server/GET /", level=0.1, spread=0.02, version=7)
        slow, usual = span_request(1, seconds=2.0), span_request(2, seconds=0.1)
        room.spans(slow, usual)
        waiting = [stored.item for stored in room.writer.outbox.waiting(after=0, limit=9)]
        before, *after = (item.payload for item in waiting if item.signal == Signal.TRACES)
        assert before == span_request(-100).SerializeToString()
        verdicts = [attributes_of(payload) for payload in after]
        assert [v["foreband.anomaly"].bool_value for v in verdicts] == [True, False]
        assert verdicts[0]["foreband.score"].double_value > 1 > verdicts[1]["foreband.score"].double_value
        assert 0.1 < verdicts[0]["foreband.expected.upper"].double_value < 0.3
        assert verdicts[0]["foreband.model.version"].string_value == "7"


def attributes_of(payload: bytes) -> dict[str, Any]:
    (span,) = ExportTraceServiceRequest.FromString(payload).resource_spans[0].scope_spans[0].spans
    return {kv.key: kv.value for kv in span.attributes}


def test_the_bands_of_closed_windows_leave_as_metrics_of_their_service(tmp_path: Path) -> None:
    with opened(tmp_path, FORWARDING) as room:
        room.spans(span_request(1))
        room.teach("traces.span.calls/rate/server/GET /", level=1 / 60, spread=0.01)
        room.pipeline.tick(NOW)
        room.pipeline.tick(NOW + 200 * SECOND)
        *_, last = room.writer.outbox.waiting(after=0, limit=9)
        (added,) = ExportMetricsServiceRequest.FromString(last.item.payload).resource_metrics
        assert added.resource.attributes[0].value.string_value == "shop"


def end_of_a_call(service: str, kind: int, **ids: bytes) -> Any:
    request = ExportTraceServiceRequest()
    rs = request.resource_spans.add()
    rs.resource.attributes.append(attribute("service.name", service))
    times = {"start_time_unix_nano": NOW - SECOND, "end_time_unix_nano": NOW}
    rs.scope_spans.add().spans.add(name="call", kind=kind, **times, **ids)
    return request


def test_who_calls_whom_is_saved_within_a_minute_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    client, server = {"span_id": bytes(range(8))}, {"span_id": b"server-1", "parent_span_id": bytes(range(8))}
    with opened(tmp_path) as room:
        room.spans(end_of_a_call("cart", 2, **server))
        room.spans(end_of_a_call("web", 3, **client))
        room.pipeline.tick(NOW + MINUTE)
        saved = ServiceGraph.from_bytes(room.writer.blob(GRAPH_BLOB))
    assert [(edge.client, edge.server) for edge in saved.edges] == [("web", "cart")]
    with opened(tmp_path) as room:
        room.pipeline.tick(NOW + 2 * MINUTE)
        (edge,) = ServiceGraph.from_bytes(room.writer.blob(GRAPH_BLOB)).edges
    assert 0 < edge.calls < saved.edges[0].calls


def test_logs_are_forwarded_as_they_came(tmp_path: Path) -> None:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=NOW, severity_number=17)
    with opened(tmp_path, FORWARDING) as room:
        room.send(Signal.LOGS, request.SerializeToString())
        assert [s.item.payload for s in room.writer.outbox.waiting(after=0, limit=9)] == [request.SerializeToString()]
        assert "logs.records/rate/ERROR" in room.names()


def test_past_the_series_limit_existing_series_lose_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, PipelineSettings(series_limit=10)) as room:
        room.metrics(*(gauge_request("cpu", (-60, 1), host=f"h{i}") for i in range(10)))
        answers = room.metrics(*(gauge_request("cpu", (0, 1), host=f"h{i}") for i in range(100)))
        assert sum(a.rejected.get("series_limit", 0) for a in answers) == 90
        assert all(len(room.read(f"cpu/value/h{i}")) == 2 for i in range(10))


def test_our_own_bands_coming_back_are_stored_nowhere_and_make_no_bands(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        (answer,) = room.metrics(gauge_request("foreband.yhat", (0, 1)))
        assert not answer.rejected
        assert room.names() == {}


def test_reading_the_same_room_twice_gives_the_same_state(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        room.metrics(gauge_request("cpu", (0, 1)))
        again = Room(room.writer, PipelineSettings())
        assert [k.identity for k in again.desk.keys] == [k.identity for k in room.desk.keys]


def exemplar_request(*seconds: float, trace: bytes = bytes(range(1, 17))) -> Any:
    """Build a gauge request whose points are linked to a trace each."""
    request = gauge_request("load", *((s, 10.0) for s in seconds))
    for point in request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points:
        point.exemplars.add(time_unix_nano=point.time_unix_nano, as_double=0.5, trace_id=trace, span_id=bytes([7] * 8))
    return request


def test_exemplars_are_kept_as_links_from_series_to_traces(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        room.metrics(exemplar_request(-1800, -1740, -600), now=NOW)
        (load,) = room.names().values()
        links = room.writer.exemplars(0, NOW)
        assert [(link.series, (link.time_unix_nano - NOW) / SECOND) for link in links] == [(load, -1800), (load, -600)]
        assert {(link.trace_id, link.span_id, link.value) for link in links} == {
            (bytes(range(1, 17)), bytes([7] * 8), 0.5)
        }
        assert room.writer.exemplars(0, NOW - 1800 * SECOND) == []
        assert room.writer.exemplars(0, NOW, np.array([load + 1], np.int32)) == []


def test_a_bad_trace_id_costs_the_exemplar_and_is_counted(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        (answer,) = room.metrics(exemplar_request(-60, trace=b"short"))
        assert not answer.rejected
        assert room.points("load/value") == [(-60, 10.0)]
        assert room.writer.exemplars(0, NOW) == []
        assert room.desk.noticed["bad_exemplars"] == 1


def test_a_silent_series_frees_its_place_and_goes_on_when_it_reports_again(tmp_path: Path) -> None:
    settings = PipelineSettings(series_limit=2, idle_nano=HOUR)
    with opened(tmp_path, settings) as room:
        room.metrics(gauge_request("a", (0, 1.0)), gauge_request("b", (0, 1.0)))
        (refused,) = room.metrics(gauge_request("c", (60, 1.0)), now=NOW + MINUTE)
        assert refused.rejected == {"series_limit": 1}
        room.metrics(gauge_request("b", (3600, 2.0)), now=NOW + HOUR)
        room.pipeline.tick(NOW + HOUR)
        assert [a.rejected for a in room.metrics(gauge_request("c", (3601, 1.0)), now=NOW + HOUR + SECOND)] == [{}]
        (again,) = room.metrics(gauge_request("a", (3602, 3.0)), now=NOW + HOUR + 2 * SECOND)
        assert not again.rejected
        assert room.points("a/value") == [(0, 1.0), (3602, 3.0)]
        room.pipeline.tick(NOW + HOUR + 2 * MINUTE)  # three are active now
        (refused,) = room.metrics(gauge_request("d", (3700, 1.0)), now=NOW + HOUR + 2 * MINUTE)
        assert refused.rejected == {"series_limit": 1}


def test_places_stay_free_over_a_restart(tmp_path: Path) -> None:
    settings = PipelineSettings(series_limit=1, idle_nano=HOUR)
    with opened(tmp_path, settings) as room:
        room.metrics(gauge_request("a", (-3601, 1.0)))
    with opened(tmp_path, settings) as room:
        assert [a.rejected for a in room.metrics(gauge_request("b", (0, 1.0)))] == [{}]


def test_known_series_are_bounded_whatever_their_age(tmp_path: Path) -> None:
    with opened(tmp_path, PipelineSettings(series_limit=1, idle_nano=MINUTE)) as room:
        for hour in range(6):
            now = NOW + hour * HOUR
            room.pipeline.tick(now)
            room.metrics(gauge_request(f"m{hour}", (hour * 3600, 1.0)), now=now)
        assert len(room.names()) == 4


def test_a_counter_beyond_two_to_the_53_keeps_exact_rates(tmp_path: Path) -> None:
    metric: Any = Metric(name="big")
    metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, 2
    for i, total in enumerate((2**62 + 1, 2**62 + 61, 2**62 + 181, 2**62 + 180)):
        metric.sum.data_points.add(
            start_time_unix_nano=NOW - 60 * SECOND, time_unix_nano=NOW + i * 60 * SECOND, as_int=total
        )
    with opened(tmp_path) as room:
        room.metrics(request_with(metric, **{"service.name": "shop"}), now=NOW + 180 * SECOND)
        assert room.points("big/rate") == [(60, 1.0), (120, 2.0)]  # then it dropped by one: no rate


def test_deltas_that_overlap_are_counted(tmp_path: Path) -> None:
    metric: Any = Metric(name="hits")
    metric.sum.is_monotonic, metric.sum.aggregation_temporality = True, 1
    for start, end in ((0, 60), (30, 90)):
        metric.sum.data_points.add(
            start_time_unix_nano=NOW + start * SECOND, time_unix_nano=NOW + end * SECOND, as_int=60
        )
    with opened(tmp_path) as room:
        room.metrics(request_with(metric, **{"service.name": "shop"}), now=NOW + 90 * SECOND)
        assert room.points("hits/rate") == [(60, 1.0), (90, 1.0)]
        assert room.desk.noticed["overlapping_writers"] == 1


def test_a_service_that_dies_is_one_episode_of_silence_until_it_reports_again(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        for minute in range(0, 25 * 60, 5):
            now = NOW + minute * MINUTE
            points = [gauge_request(name, (60 * minute, 1.0)) for name in ("cpu", "memory")]
            room.metrics(*points, now=now)
            room.pipeline.tick(now)
        for minute in range(1, 42):
            room.pipeline.tick(now + minute * MINUTE)
            room.pipeline.save(now + minute * MINUTE)
        (episode,) = room.writer.open_episodes()
        assert (episode.kind, episode.series) == (SILENCE, 0)
        assert episode.start_unix_nano == now + 5 * MINUTE
        assert room.writer.bands()["reason"].tolist() == [Reason.SILENT, Reason.NONE]
        room.metrics(gauge_request("memory", (60 * (minute + 1500), 1.0)), now=now + 42 * MINUTE)
        room.pipeline.tick(now + 43 * MINUTE)
        assert room.writer.open_episodes() == []


def test_spans_that_simply_stop_coming_leave_the_band_of_their_rate(tmp_path: Path) -> None:
    with opened(tmp_path) as room:
        room.spans(span_request(*range(60)), now=NOW + 60 * SECOND)
        room.pipeline.tick(NOW + 80 * SECOND)
        room.teach("traces.span.calls/rate/server/GET /", 1.0, 0.1)
        for minute in range(2, 12):
            now = NOW + minute * MINUTE
            room.metrics(gauge_request("elsewhere", (60 * minute, 1.0)), now=now)
            room.pipeline.tick(now)
        assert room.points("traces.span.calls/rate/server/GET /")[-1][1] == 0.0
        assert room.judged("traces.span.calls/rate/server/GET /").anomaly[-1] == -1
        (episode,) = room.writer.open_episodes()
        assert (episode.actual, episode.direction) == (0.0, -1)


def test_missing_points_are_zeros_where_a_policy_says_so(tmp_path: Path) -> None:
    policy = PolicyConfig.model_validate({"match": {"metric": "orders"}, "detect": {"missing": "zero"}})
    with opened(tmp_path, PipelineSettings(policies=Policies([policy]))) as room:
        room.metrics(gauge_request("orders", (-120, 5.0), (-60, 5.0), (0, 5.0)))
        for second in range(300):
            room.pipeline.tick(NOW + second * SECOND)
        assert room.points("orders/value")[3:] == [(60, 0.0), (120, 0.0), (180, 0.0), (240, 0.0)]
