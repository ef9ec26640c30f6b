import math
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.grafana.scene import CALLS, CPU, DURATION, GAPPY, MODELLED, NOW, SILENT, TOTAL, TRACE, TWIN, WARMING
from tests.grafana.strict import body_of, error_of

MS = NOW // 10**6
HOUR = 3_600_000
LIVE = [*MODELLED, WARMING, TWIN]


def rows(client: FlaskClient, path: str, **params: Any) -> list[dict[str, Any]]:
    found = body_of(client.get(f"/api/v1/{path}", query_string={"from": MS - HOUR, "to": MS + 1, **params}))
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("kind", ["value", "yhat", "lower", "upper", "score", "anomaly", "state"])
def test_long_rows_ascend_are_unique_and_have_one_number(client: FlaskClient, kind: str) -> None:
    found = rows(client, "series", kind=kind)
    keys = [(row["time"], row["series"]) for row in found]
    assert len(set(keys)) == len(keys) > 0
    assert [time for time, _ in keys] == sorted(time for time, _ in keys)
    for row in found:
        numbers = [name for name, value in row.items() if not isinstance(value, str)]
        assert numbers == ["time", "value"]
        assert math.isfinite(row["value"])


def test_anomaly_rows_are_whole_numbers_and_reach_every_live_series_at_the_end(client: FlaskClient) -> None:
    found = rows(client, "series", kind="anomaly")
    assert {type(row["value"]) for row in found} == {int}
    last = {row["series"]: row["value"] for row in found if row["time"] == found[-1]["time"]}
    assert last == {key.stable_id: -1 if key is CALLS else 0 for key in LIVE}


def test_rows_can_be_narrowed_by_series_and_by_identity(client: FlaskClient) -> None:
    two = f"{CALLS.stable_id},{CPU.stable_id}"
    assert {row["series"] for row in rows(client, "series", series=two)} == {CALLS.stable_id, CPU.stable_id}
    assert {row["metric"] for row in rows(client, "series", service="host", metric=CPU.metric)} == {CPU.metric}
    assert rows(client, "series", series="0" * 16) == []


@pytest.mark.parametrize(
    ("pattern", "services"),
    [
        ("checkout|host", {"checkout", "host"}),
        ("check", set()),
        (".*", {"checkout", "host", "mailer"}),
        ("(?i)HOST", {"host"}),
    ],
)
def test_rows_can_be_narrowed_by_a_pattern_of_services(client: FlaskClient, pattern: str, services: set[str]) -> None:
    assert {row["service"] for row in rows(client, "anomalies/current", service_pattern=pattern)} == services


def test_a_pattern_that_is_none_is_refused(client: FlaskClient) -> None:
    error_of(client.get("/api/v1/episodes?service_pattern=("), 400)


def test_rows_stay_within_max_points_per_series(client: FlaskClient) -> None:
    found = rows(client, "series", series=CPU.stable_id, max_points=10, **{"from": MS - 24 * HOUR})
    assert 8 <= len(found) <= 10


def test_calibrated_rows_differ_from_the_alert_band(client: FlaskClient) -> None:
    only = {"kind": "upper", "series": CPU.stable_id}
    alert, calibrated = rows(client, "series", **only)[0], rows(client, "series", band="calibrated", **only)[0]
    assert alert["time"] == calibrated["time"]
    assert alert["value"] > calibrated["value"]


def test_wide_rows_hold_value_forecast_and_band_up_to_the_end_asked_for(client: FlaskClient) -> None:
    found = rows(client, f"series/{CPU.stable_id}/forecast", to=MS + 2 * HOUR)
    times = [row["time"] for row in found]
    assert times == sorted(set(times))
    assert times[-1] > MS + 2 * HOUR - 120_000
    for row in found:
        is_ahead = row["time"] > MS
        assert (row["actual"] is None) == is_ahead
        assert (row["anomaly"] is None) == is_ahead
        assert row["lower"] < row["yhat"] < row["upper"]
        assert row["lower"] < row["calibrated_lower"] < row["calibrated_upper"] < row["upper"]


def test_a_long_range_keeps_its_extremes_and_its_last_point(client: FlaskClient) -> None:
    path = f"series/{DURATION.stable_id}/forecast"
    everything = rows(client, path, max_points=11_000, **{"from": MS - 48 * HOUR})
    few = rows(client, path, max_points=100, **{"from": MS - 48 * HOUR})
    assert len(everything) > 2800
    assert len(few) <= 110
    for pick in (max, min):
        assert pick(row["actual"] for row in few) == pick(row["actual"] for row in everything)
    assert few[-1] == everything[-1]
    assert any(row["anomaly"] for row in few)


def test_a_gap_is_a_row_of_nulls(client: FlaskClient) -> None:
    found = rows(client, f"series/{GAPPY.stable_id}/forecast", max_points=50, **{"from": MS - 24 * HOUR})
    inside = [row for row in found if MS - 13 * HOUR < row["time"] < MS - 9 * HOUR]
    assert inside
    assert all(row["actual"] is None and row["anomaly"] is None for row in inside)


def test_current_anomalies_name_every_live_series_once(client: FlaskClient) -> None:
    found = body_of(client.get("/api/v1/anomalies/current"))
    assert {row["series"]: row["anomalous"] for row in found} == {key.stable_id: int(key is CALLS) for key in LIVE}
    assert len(found) == len(LIVE)


def test_annotations_are_regions_and_an_open_one_ends_now(client: FlaskClient) -> None:
    found = rows(client, "annotations", **{"from": MS - 24 * HOUR, "to": MS + HOUR})
    assert [row["time"] for row in found] == sorted(row["time"] for row in found)
    assert all(row["time"] < row["timeEnd"] <= MS for row in found)
    (opened,) = [row for row in found if {"anomaly", "open"} <= set(row["tags"].split(","))]
    assert opened["timeEnd"] == MS
    assert "below" in opened["title"]
    assert rows(client, "annotations", series=SILENT.stable_id) == []


def test_episodes_tell_what_was_expected(client: FlaskClient) -> None:
    found = rows(client, "episodes", series=DURATION.stable_id, **{"from": MS - 24 * HOUR})
    (episode,) = found
    assert episode["direction"] == 1
    assert episode["actual"] > episode["upper"] > episode["yhat"] > episode["lower"]
    assert episode["end"] is not None
    assert episode["traces"] == [TRACE.hex()]


def test_services_and_metrics_are_variables(client: FlaskClient) -> None:
    services = body_of(client.get("/api/v1/services"))
    assert services == [{"__text": name, "__value": name} for name in ("checkout", "host", "mailer")]
    assert [row["__value"] for row in body_of(client.get("/api/v1/metrics?service=mailer"))] == [
        "queue.age",
        "queue.length",
    ]


def test_the_catalog_puts_open_episodes_first_and_says_why_others_are_not_active(client: FlaskClient) -> None:
    page = body_of(client.get("/api/v1/catalog"))
    assert page["total"] == page["matched"] == len(LIVE)
    assert page["anomalous"] == 1
    assert page["states"] == {"warming": 2, "active": 7, "degraded": 1}
    assert page["series"][0]["id"] == CALLS.stable_id
    described = {row["id"]: row for row in page["series"]}
    assert TOTAL.stable_id not in described
    assert described[WARMING.stable_id]["reason"].startswith("less than 24 h")
    assert SILENT.stable_id not in described  # it has no point yet
    assert described[CPU.stable_id]["forecaster"] == "prophet"
    assert described[CPU.stable_id]["coverage"] == pytest.approx(0.9475)


def test_the_catalog_is_searched_by_every_word(client: FlaskClient) -> None:
    page = body_of(client.get("/api/v1/catalog?search=CART+checkout+p95&limit=5"))
    assert [row["id"] for row in page["series"]] == [DURATION.stable_id]


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("series?kind=nonsense", "kind"),
        ("series?from=5&to=4", "must be before"),
        ("series?from=yesterday", "from"),
        ("series?max_points=0", "max_points"),
        ("series?max_points=1000000000", "max_points"),
        ("series?max_points=NaN", "max_points"),
        ("series?step=0&series=0123456789abcdef", "step"),
        ("series?step=-1", "step"),
        ("series?step=1ms", "points per timeseries"),
        ("series?series=../../etc/passwd", "series id"),
        ("series?kind=upper&band=wide", "band"),
        ("series/nonsense/forecast", "series id"),
        ("catalog?limit=-1", "limit"),
    ],
)
def test_bad_parameters_are_named(client: FlaskClient, path: str, part: str) -> None:
    assert part in error_of(client.get(f"/api/v1/{path}"), 400)


def test_an_unknown_series_is_not_found(client: FlaskClient) -> None:
    error_of(client.get("/api/v1/series/0123456789abcdef/forecast"), 404)


def test_a_hundred_years_in_large_steps_are_answered(client: FlaskClient) -> None:
    found = rows(client, "series", **{"from": "1970-01-01", "to": "2070-01-01", "max_points": 100})
    assert isinstance(found, list)
