from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.detect.episodes import ADOPTED
from collector_processor.store.base import JudgedBatch
from collector_processor.telemetry.episode import DRIFT, LEVEL_SHIFT, SILENCE, Drift, Episode, Onset, Shift
from collector_processor.telemetry.points import Float64, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch
from grafana_datasource.directory import Entry
from grafana_datasource.episodes import annotation
from grafana_datasource.explanation import evidence_of, explain, rarity_of, summary
from tests.grafana.scene import CPU, DURATION, NOW, TRACE
from tests.grafana.strict import body_of, error_of

START = 20_000 * DAY + 5 * HOUR
ONSET = Onset(
    7, "prophet", "Prophet missed by less", {"prophet": 0.2}, {"prophet": 0.1}, 1.1, {"trend": 0.3, "daily": -0.1}
)
EPISODE = Episode("e", 0, START, None, START + 2 * MINUTE, 1, 4.0, 0.9, 0.2, 0.1, 0.3)


def past(distance: Float64, *, until: int = START + 2 * MINUTE, step: int = 10 * MINUTE) -> JudgedBatch:
    """Points with these distances from a forecast of 0.2, the last one at `until`."""
    n = distance.size
    time = until - step * np.arange(n - 1, -1, -1)
    yhat = np.full(n, 0.2)
    verdicts = VerdictBatch(yhat, yhat - 0.1, yhat + 0.1, distance / 0.1, (distance > 0.1).astype(np.int8))
    return JudgedBatch(PointBatch(np.zeros(n, np.int32), time, yhat + distance), verdicts)


def test_the_rarest_episode_has_rank_one_and_nothing_as_large_before() -> None:
    rarity = rarity_of(EPISODE, past(np.full(6 * 24 * 5 + 1, 0.05)))
    assert rarity is not None
    assert (rarity.days, rarity.rank, rarity.days_since) == (5, 1, None)


def test_days_as_large_are_counted_and_the_last_one_is_named() -> None:
    distance = np.full(6 * 24 * 5 + 1, 0.05)
    distance[[6, 7, 6 * 24 * 3]] = 0.8
    rarity = rarity_of(EPISODE, past(distance))
    assert rarity is not None
    assert rarity.rank == 3
    assert rarity.days_since == pytest.approx(2.0, abs=0.01)


def test_what_the_episode_itself_did_is_not_its_past() -> None:
    distance = np.full(6 * 24 * 2 + 1, 0.05)
    distance[-1] = 9.0
    rarity = rarity_of(EPISODE, past(distance))
    assert rarity is not None
    assert rarity.rank == 1


def test_less_than_a_day_says_nothing_about_rarity() -> None:
    assert rarity_of(EPISODE, past(np.full(6 * 20, 0.05))) is None
    assert rarity_of(EPISODE, past(np.full(6 * 48, np.nan))) is None


def test_the_evidence_is_what_came_before_the_first_points_and_the_worst_in_order_of_time() -> None:
    distance = np.full(60, 0.05)
    distance[20:] = 0.2
    distance[50] = 3.0
    long = replace(EPISODE, start_unix_nano=START - 39 * MINUTE + 2 * MINUTE)
    found = evidence_of(long, past(distance, step=MINUTE))
    times = [(point.time_unix_nano - long.start_unix_nano) // MINUTE for point in found]
    assert times[:6] == [-3, -2, -1, 0, 1, 2]
    assert 30 in times
    assert times == sorted(times)
    assert len(times) == 12


def test_the_sentence_says_what_was_seen_expected_how_rare_and_why_this_model() -> None:
    sentence = explain(CPU, replace(EPISODE, onset=ONSET), past(np.full(6 * 24 * 5 + 1, 0.05))).sentence
    for part in (
        "0.9 where 0.1 to 0.3 was expected",
        "trend 0.3, daily -0.1",
        "nothing as far off in the 5 days before",
        "Prophet is drawn because Prophet missed by less",
    ):
        assert part in sentence


def test_an_episode_without_its_onset_is_explained_by_its_peak_alone() -> None:
    assert summary(CPU, EPISODE) == "0.9 where 0.1 to 0.3 was expected (expected 0.2)"


def test_a_level_shift_says_from_what_to_what_and_when_that_is_normal() -> None:
    shift = Shift(before=0.2, after=0.85, adopted_unix_nano=START + 8 * HOUR)
    found = replace(EPISODE, kind=LEVEL_SHIFT, shift=shift)
    assert summary(CPU, found).endswith("; level shift from 0.2 to 0.85, the new normal from 2024-10-04 13:00 UTC on")
    over = replace(found, end_unix_nano=START + 8 * HOUR, close_reason=ADOPTED)
    assert summary(CPU, over).endswith("; level shift from 0.2 to 0.85, adopted as the new normal after 8 h")


def test_a_drift_says_how_much_a_day_what_is_usual_and_when_it_reaches_its_bound() -> None:
    drift = Drift(per_day=0.02, since_unix_nano=START - 7 * DAY, reaches_unix_nano=START + 10 * DAY)
    found = replace(EPISODE, kind=DRIFT, drift=drift, actual=0.9, yhat=0.76, lower=0.66, upper=0.86)
    assert summary(CPU, found) == (
        "has risen by 0.02 a day since 2024-09-27, to 0.9, 0.14 above the same day of the week before, "
        "where up to 0.1 is usual; at this pace it reaches its bound at 2024-10-14 05:00 UTC"
    )
    falling = replace(found, drift=replace(drift, per_day=-0.02, reaches_unix_nano=None), actual=0.62)
    assert summary(CPU, falling).startswith("has fallen by 0.02 a day since 2024-09-27, to 0.62, 0.14 below the same")
    assert explain(CPU, found, past(np.full(6 * 24 * 5 + 1, 0.05))).rarity is None


def test_silence_is_explained_by_its_own_words() -> None:
    silent = replace(EPISODE, kind=SILENCE, reason="nothing of it came for 10 minutes")
    found = explain(CPU, silent, past(np.full(6 * 24 * 5 + 1, 0.05)))
    assert "nothing of it came for 10 minutes" in found.sentence
    assert found.rarity is None


def test_an_episode_is_served_with_rarity_evidence_and_traces(client: FlaskClient) -> None:
    span = {"series": DURATION.stable_id, "from": (NOW - DAY) // 10**6, "to": NOW // 10**6}
    (row,) = body_of(client.get("/api/v1/episodes", query_string=span))
    found = body_of(client.get(f"/api/v1/episodes/{row['id']}"))
    assert found["rarity"]["rank"] == 1
    assert max(point["score"] for point in found["evidence"]) == pytest.approx(found["peak_score"], rel=1e-5)
    assert found["traces"] == [TRACE.hex()]
    assert row["explanation"] in found["explanation"]


def test_an_unknown_episode_is_not_found(client: FlaskClient) -> None:
    assert "no episode" in error_of(client.get("/api/v1/episodes/nothing"), 404)


@pytest.mark.parametrize(
    ("change", "headline", "tag"),
    [
        ({}, "above its band", "open"),
        ({"kind": LEVEL_SHIFT, "shift": Shift(0.2, 0.85, START + 8 * HOUR)}, "settled above its band", "level_shift"),
        ({"kind": DRIFT, "drift": Drift(-0.1, START - DAY, None), "direction": -1}, "drifts down", "drift"),
        ({"kind": SILENCE, "reason": "nothing came"}, "went silent", "silent"),
    ],
)
def test_an_annotation_says_in_its_title_what_a_series_did(change: dict[str, Any], headline: str, tag: str) -> None:
    entry = Entry(0, CPU, CPU.stable_id, "cpu", {})
    told = annotation(entry, replace(EPISODE, **change), START + HOUR, START + HOUR)
    assert told["title"].endswith(headline)
    assert tag in told["tags"].split(",")
