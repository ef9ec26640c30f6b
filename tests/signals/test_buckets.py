"""Buckets of histograms as series: what is counted up to each bound, and the places there are for them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from collector_processor.telemetry.arrival import HistogramPoints, MetricArrivals
from collector_processor.telemetry.series import Kind, Statistic
from tests.signals.room import Room, at, exponential, raw, source

CUMULATIVE, DELTA = Kind.HISTOGRAM_CUMULATIVE, Kind.HISTOGRAM_DELTA
BUCKET = Statistic.BUCKET
DAY = 86_400


Row = tuple[Any, float, Sequence[float] | None]
"""Attributes, time in seconds and bucket counts; None is a gap."""


def histogram(kind: Kind, bounds: Sequence[float], rows: Sequence[Row], metric: str = "m") -> MetricArrivals:
    counts = np.array([count or [0.0] * (len(bounds) + 1) for *_, count in rows], np.float64)
    points = HistogramPoints(
        source=source(kind, metric),
        attributes=[raw(attributes) for attributes, *_ in rows],
        start_unix_nano=np.array([at(0)] * len(rows)),
        time_unix_nano=np.array([at(time) for _, time, _ in rows]),
        count=counts.sum(axis=1),
        sum=np.full(len(rows), np.nan),
        bounds=np.array(bounds, np.float64),
        bucket_counts=counts,
        is_gap=np.array([count is None for *_, count in rows]),
    )
    return MetricArrivals(len(rows), (), [points])


def buckets(room: Room) -> dict[str, dict[float, float]]:
    """Return value by time of every bucket series, by its bound."""
    names = sorted(str(dict(key.attributes)["le"]) for key in room.catalog.keys if key.statistic is BUCKET)
    return {le: room.read(BUCKET, le=le) for le in names}


def how_many(room: Room) -> int:
    return sum(key.statistic is BUCKET for key in room.catalog.keys)


def test_a_cumulative_histogram_counts_up_to_each_of_its_bounds() -> None:
    room = Room(buckets=100)
    rows: list[Row] = [({}, 10, [1, 2, 0]), ({}, 20, [1, 4, 3])]
    room.take_metrics(histogram(CUMULATIVE, [0.5, 10.0], rows), now=20)
    assert buckets(room) == {"0.5": {10: 1.0, 20: 1.0}, "10": {10: 3.0, 20: 5.0}, "+Inf": {10: 3.0, 20: 8.0}}
    assert room.read(Statistic.COUNT) == {10: 3.0, 20: 8.0}


def test_points_of_a_bucket_ascend_however_the_histograms_came() -> None:
    room = Room(buckets=100)
    rows: list[Row] = [({"a": i % 3}, 100 - i, [200 - i, 200 - i]) for i in range(60)]
    points = room.take_metrics(histogram(CUMULATIVE, [1.0], rows), now=100).points
    order = np.lexsort((np.arange(len(points)), points.series))
    series, time = points.series[order], points.time_unix_nano[order]
    assert (np.diff(time)[np.diff(series) == 0] > 0).all()
    assert how_many(room) == 6


def test_bounds_are_written_without_an_exponent_and_an_own_attribute_le_steps_aside() -> None:
    room = Room(buckets=100)
    room.take_metrics(histogram(CUMULATIVE, [1e-7, 25.0, 1e22], [({"le": "mine"}, 10, [1, 1, 1, 1])]), now=10)
    assert set(buckets(room)) == {"0.0000001", "25", "10000000000000000000000", "+Inf"}
    assert all(dict(k.attributes)["exported_le"] == "mine" for k in room.catalog.keys if k.statistic is BUCKET)


def test_only_cumulative_histograms_with_bounds_have_buckets() -> None:
    room = Room(buckets=100)
    room.take_metrics(histogram(DELTA, [1.0], [({}, 10, [1, 2])], metric="d"), now=10)
    room.take_metrics(histogram(CUMULATIVE, [], [({}, 10, [3])], metric="c"), now=10)
    room.take_metrics(exponential(Kind.EXPONENTIAL_CUMULATIVE, 0, 10, {1: 2.0}), now=10)
    assert how_many(room) == 0


def test_a_gap_gives_no_buckets() -> None:
    room = Room(buckets=100)
    room.take_metrics(histogram(CUMULATIVE, [1.0], [({}, 10, None)]), now=10)
    assert how_many(room) == 0


def test_a_histogram_has_all_of_its_buckets_or_none() -> None:
    room = Room(buckets=5)
    rows = [({"a": i}, 10, [1, 2]) for i in range(4)]
    consumed = room.take_metrics(histogram(CUMULATIVE, [1.0], rows), now=10)
    assert (how_many(room), consumed.bare) == (4, 2)
    later = [({"a": i}, 20, [1, 2]) for i in range(4)]
    assert room.take_metrics(histogram(CUMULATIVE, [1.0], later), now=20).bare == 2
    assert room.read(BUCKET, a=0, le="1") == {10: 1.0, 20: 1.0}


def test_buckets_need_places_within_the_limit_of_series() -> None:
    room = Room(series_limit=8, buckets=100)
    rows: list[Row] = [({}, 10, [1, 2])]
    assert room.take_metrics(histogram(CUMULATIVE, [1.0], rows), now=10).bare == 1
    assert how_many(room) == 0
    assert room.read(Statistic.COUNT) == {10: 3.0}


def test_buckets_go_on_after_a_restart_also_where_all_places_are_taken() -> None:
    room = Room(buckets=2)
    room.take_metrics(histogram(CUMULATIVE, [1.0], [({}, 10, [1, 2])]), now=10)
    room.restart()
    rows: list[Row] = [({}, 90, [2, 2]), ({"a": 1}, 90, [1, 2])]
    assert room.take_metrics(histogram(CUMULATIVE, [1.0], rows), now=90).bare == 1
    assert room.read(BUCKET, le="1") == {10: 1.0, 90: 2.0}


def test_silent_buckets_give_their_places_away() -> None:
    room = Room(buckets=2)
    room.take_metrics(histogram(CUMULATIVE, [1.0], [({"a": 0}, 10, [1, 2])]), now=10)
    new = [({"a": 1}, DAY + 100, [1, 2])]
    assert room.take_metrics(histogram(CUMULATIVE, [1.0], new), now=DAY + 100).bare == 0
    back = [({"a": 0}, DAY + 200, [1, 2])]
    assert room.take_metrics(histogram(CUMULATIVE, [1.0], back), now=DAY + 200).bare == 0
    assert how_many(room) == 4


def test_other_bounds_are_other_series() -> None:
    room = Room(buckets=100)
    room.take_metrics(histogram(CUMULATIVE, [1.0], [({}, 10, [1, 2])]), now=10)
    room.take_metrics(histogram(CUMULATIVE, [2.0], [({}, 20, [3, 2])]), now=20)
    assert buckets(room) == {"1": {10: 1.0}, "2": {20: 3.0}, "+Inf": {10: 3.0, 20: 5.0}}
