"""Batches to store, and bit-exact comparison of what comes back."""

import math
from collections.abc import Sequence

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.store.base import Commit, JudgedBatch, OutboxItem, SeriesReader, SeriesWriter
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.incident import Cause, Evidence, Incident, Member
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import EventBatch, Float64, Int32, PointBatch
from collector_processor.telemetry.series import Kind, Scope, SeriesKey, Statistic
from collector_processor.telemetry.verdict import VerdictBatch

START = 1_700_006_400_000_000_000  # midnight UTC
FOREVER = 1 << 62


def series_key(number: int) -> SeriesKey:
    return SeriesKey(
        resource=(("service.name", f"service-{number % 3}"),),
        scope=Scope("scope", "1.0"),
        metric=f"metric.{number}",
        unit="1",
        kind=Kind.GAUGE,
        statistic=Statistic.VALUE,
        attributes=(("float", 1.0), ("integer", 1), ("text", "1"), ("true", True)),
    )


def points(rows: Sequence[tuple[int, int, float]]) -> PointBatch:
    series, time, value = zip(*rows, strict=True) if rows else ((), (), ())
    return PointBatch(np.array(series, np.int32), np.array(time, np.int64), np.array(value, np.float64))


def ids(*series: int) -> Int32:
    return np.array(series, np.int32)


def tick(number: int, series: int = 5, *, start: int = START) -> Commit:
    """One point of each series at minute `number`, with verdicts."""
    value = np.array([50.0 + round(math.sin(one + number), 2) for one in range(series)])
    time = np.full(series, start + number * MINUTE)
    return Commit(points=PointBatch(np.arange(series, dtype=np.int32), time, value), verdicts=verdicts_for(value))


def verdicts_for(value: Float64) -> VerdictBatch:
    yhat = np.full(value.size, 50.0)
    upper = yhat + 0.9
    anomaly = (value > upper).astype(np.int8)
    return VerdictBatch(yhat, yhat - 2.0, upper, (value - yhat) / np.where(value >= yhat, 0.9, 2.0), anomaly)


def event_batch(*times: int) -> EventBatch:
    n = len(times)
    return EventBatch(
        np.arange(n, dtype=np.int32), np.array(times, np.int64), np.linspace(0.1, 0.9, n), np.arange(n) % 2 == 1
    )


def episode(name: str, start: int, end: int | None, series: int = 0) -> Episode:
    return Episode(name, series, start, end, start, 1, 1.5, 3.0, 1.0, float("-inf"), float("nan"), "")


def incident(name: str, start: int, end: int | None) -> Incident:
    evidence = Evidence("errors", "error ratio rose from 0 to 0.2", 3.0)
    members = (
        Member("e1", "s1", "shop", "calls", "rate", "calls", "silence", "warning", -1, 1.5, start, end, is_whole=True),
    )
    causes = (Cause("db", is_peer=True, score=0.9, series="", evidence=(evidence,)),)
    return Incident(name, start, start, end, ("shop", "db"), members, more=2, causes=causes, sentence="It broke.")


def model(series: int, version: int) -> ModelRecord:
    said = f'{{"version": {version}}}'
    return ModelRecord(series, version, START, START - 5, START, "prophet", "it won", b"numbers \0", said)


def outbox_item(number: int, size: int = 100) -> OutboxItem:
    return OutboxItem("metrics", number, bytes([number % 256]) * size)


def read_all(store: SeriesReader, series: int = 64) -> JudgedBatch:
    return store.read_judged(np.arange(series, dtype=np.int32), 0, FOREVER)


def same_bits(a: PointBatch, b: PointBatch) -> bool:
    return (
        np.array_equal(a.series, b.series)
        and np.array_equal(a.time_unix_nano, b.time_unix_nano)
        and a.value.tobytes() == b.value.tobytes()
    )


def same_verdicts(a: VerdictBatch, b: VerdictBatch) -> bool:
    numbers = ("yhat", "lower", "upper", "score")
    return np.array_equal(a.anomaly, b.anomaly) and all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True) for name in numbers
    )


def maintain_all(store: SeriesWriter, now: int) -> None:
    """Do all housekeeping that is due at `now`."""
    while store.maintain(now, 1.0):
        pass
