"""What a time between, at and after stored points is answered with."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient

from collector_processor.clock import HOUR, MINUTE, ManualClock
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_reader, open_writer
from collector_processor.telemetry.band import Reason, unknown_bands
from collector_processor.telemetry.points import PointBatch
from collector_processor.telemetry.verdict import VerdictBatch
from grafana_datasource.app import Settings, create_app
from tests.grafana.scene import CPU, NOW, write_scene
from tests.grafana.strict import body_of

POINTS = np.array([NOW - 3 * HOUR, NOW - 2 * HOUR, NOW - 2 * HOUR + MINUTE, NOW - 2 * HOUR + 2 * MINUTE], np.int64)
LAST = int(POINTS[-1])
VALUES = np.array([1.0, 2.0, np.nan, np.inf])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    directory: Path = tmp_path_factory.mktemp("view") / "store"
    verdicts = VerdictBatch(VALUES, VALUES - 1, VALUES + 1, np.full(4, 2.0), np.array([0, 1, 0, -1], np.int8))
    with closing(open_writer(directory, StoreSettings())) as writer:
        batch = PointBatch(np.zeros(4, np.int32), POINTS, VALUES)
        writer.commit(Commit(series=[(0, CPU)], points=batch, verdicts=verdicts))
    app = create_app(Settings(partial(open_reader, directory), clock=ManualClock(NOW)))
    yield app.test_client()
    app.extensions["foreband"].close()


def at(client: FlaskClient, metric: str, time: int) -> str | None:
    params = {"query": metric, "time": f"{time / 1e9:.3f}"}
    found = body_of(client.get("/prom/api/v1/query", query_string=params))["data"]["result"]
    return str(found[0]["value"][1]) if found else None


@pytest.mark.parametrize(
    ("time", "value"),
    [
        (int(POINTS[0]) - 1_000_000, None),
        (int(POINTS[0]), "1"),
        (int(POINTS[0]) + 5 * MINUTE, "1"),
        (int(POINTS[0]) + 5 * MINUTE + 1_000_000, None),
        (int(POINTS[1]) + MINUTE - 1_000_000, "2"),
        (int(POINTS[2]), None),
        (LAST, "+Inf"),
    ],
)
def test_a_point_stands_until_the_next_one_but_five_minutes_at_most(
    client: FlaskClient, time: int, value: str | None
) -> None:
    assert at(client, "foreband_actual", time) == value


@pytest.mark.parametrize(
    ("time", "value"),
    [
        (int(POINTS[1]), "1"),
        (LAST, "-1"),
        (LAST + 5 * MINUTE, "-1"),
        (LAST + 5 * MINUTE + 1_000_000, "0"),
        (LAST + HOUR - 1_000_000, "0"),
        (LAST + HOUR, None),
        (NOW, None),
    ],
)
def test_a_silent_series_is_not_anomalous_and_after_an_hour_no_longer_live(
    client: FlaskClient, time: int, value: str | None
) -> None:
    assert at(client, "foreband_anomaly", time) == value


def test_a_series_whose_silence_is_an_episode_is_anomalous_for_as_long_as_that_is_open(tmp_path: Path) -> None:
    bands = unknown_bands(1)
    bands["state"], bands["reason"] = 2, Reason.SILENT
    with closing(open_writer(tmp_path, StoreSettings())) as writer:
        batch = PointBatch(np.zeros(4, np.int32), POINTS, VALUES)
        writer.commit(Commit(series=[(0, CPU)], points=batch, verdicts=VerdictBatch.absent(4), bands={0: bands}))
    app = create_app(Settings(partial(open_reader, tmp_path), clock=ManualClock(NOW)))
    silent = app.test_client()
    assert at(silent, "foreband_anomaly", LAST + 4 * MINUTE) == "0"
    assert at(silent, "foreband_anomaly", LAST + 6 * MINUTE) == "-1"
    assert at(silent, "foreband_anomaly", LAST + 90 * MINUTE) == "-1"
    assert at(silent, "foreband_anomaly", NOW + MINUTE) is None
    app.extensions["foreband"].close()


def test_long_rows_leave_out_what_does_not_exist(client: FlaskClient) -> None:
    params = {"from": (NOW - 4 * HOUR) // 10**6, "to": NOW // 10**6, "step": "1m"}
    rows = body_of(client.get("/api/v1/series", query_string=params))
    assert [row["value"] for row in rows] == [1.0] * 6 + [2.0]


def test_wide_rows_show_each_stored_point_once_and_infinity_as_null(client: FlaskClient) -> None:
    params = {"from": (NOW - 4 * HOUR) // 10**6, "to": NOW // 10**6}
    rows = body_of(client.get(f"/api/v1/series/{CPU.stable_id}/forecast", query_string=params))
    stored = {row["time"]: row["actual"] for row in rows}
    assert [stored[int(time) // 10**6] for time in POINTS] == [1.0, 2.0, None, None]


def test_a_verdict_newer_than_the_outlook_is_shown_as_it_was_given(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "store")
    clock = ManualClock(scene.now)
    app = create_app(Settings(partial(open_reader, scene.directory), clock=clock, refresh_seconds=3600.0))
    with app.test_client() as asked, closing(open_writer(scene.directory, StoreSettings())) as writer:
        at(asked, "foreband_yhat", scene.now)
        one, moment = np.array([0], np.int32), np.array([scene.now + MINUTE])
        yhat, lower, upper, score = (np.array([x]) for x in (123.0, 122.0, 124.0, 0.0))
        given = VerdictBatch(yhat, lower, upper, score, np.zeros(1, np.int8))
        writer.commit(Commit(points=PointBatch(one, moment, np.array([123.0])), verdicts=given))
        clock.advance(MINUTE)
        query = f'foreband_yhat{{series="{scene.keys[0].stable_id}"}}'
        assert at(asked, query, scene.now + MINUTE) == "123"
        assert at(asked, f"max_over_time({query}[2m])", scene.now + MINUTE) == "123"
    app.extensions["foreband"].close()
