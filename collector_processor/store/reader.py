"""Reading the embedded store; the writer reads with the same code on its own connection."""

import sqlite3
from collections.abc import Callable, Sequence

import numpy as np

from collector_processor.store import (
    answers,
    chunks,
    exemplars,
    finite,
    forgetting,
    incidents,
    layout,
    models,
    receipts,
    records,
    rows,
    sheets,
    step_means,
)
from collector_processor.store.base import JudgedBatch, Renewals, RequestReceipt
from collector_processor.store.connection import snapshot
from collector_processor.store.faults import translated
from collector_processor.store.finite import Piece
from collector_processor.store.head import Head, Recent
from collector_processor.store.rows import Columns
from collector_processor.store.step_means import Layer
from collector_processor.telemetry.band import BandStates
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.exemplar import TraceLink
from collector_processor.telemetry.feedback import Feedback
from collector_processor.telemetry.incident import Incident
from collector_processor.telemetry.means import StepMeans
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Bool, EventBatch, Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.series import SeriesKey

_NEVER = -1
_SERIES_READ_AT_ONCE = 16  # points of them are held in memory
_LAST_TIME = np.iinfo(np.int64).max


KnownSeries = Callable[[], Sequence[SeriesKey]]
"""Returns keys of series by id, as the process that writes has them; those not committed yet may follow."""


def _no_series() -> Sequence[SeriesKey]:
    return ()


class SqliteReader:
    """A SeriesReader on one connection; every method reads one committed state."""

    def __init__(
        self, connection: sqlite3.Connection, known: KnownSeries = _no_series, head: Head | None = None
    ) -> None:
        self._connection = connection
        self._known = known
        self._head = head or Head()
        with translated():
            ((instance_id,),) = connection.execute("SELECT instance_id FROM store")
        self._instance_id = str(instance_id)

    @property
    def instance_id(self) -> str:
        """Return the UUID this store got when it was made."""
        return self._instance_id

    def catalog(self, *, from_series: int = 0) -> list[tuple[int, SeriesKey]]:
        """See `SeriesReader.catalog`."""
        with snapshot(self._connection):
            ids = records.series_ids(self._connection, from_series)
            known = self._known()  # after it: keys of a commit that failed were never among them
            if ids and ids[-1] < len(known):
                return [(series, known[series]) for series in ids]
            return records.catalog(self._connection, from_series)

    def renewals(self) -> Renewals:
        """See `SeriesReader.renewals`."""
        with snapshot(self._connection):
            return forgetting.renewals(self._connection)

    def read_points(self, series: Int32, start: int, end: int) -> PointBatch:
        """See `SeriesReader.read_points`."""
        wanted, start, end = _bounded(series, start, end)
        with snapshot(self._connection):
            recent = self._head.at(self._connection)
            return self._points(self._parts(start, end), recent, wanted, start, end)

    def read_means(self, series: Int32, start: int, end: int, step: int) -> StepMeans:
        """See `SeriesReader.read_means`."""
        wanted, start, end = _bounded(series, start, end)
        with snapshot(self._connection):
            recent, parts = self._head.at(self._connection), self._parts(start, end)
            layers: list[Layer] = []
            served = np.zeros(wanted.size, np.bool_)
            head = rows.points_of(self._newer(recent, wanted, start, end))
            if wanted.size and chunks.rolled_up(self._connection, step).issuperset(parts):
                for part in parts:
                    layers += step_means.read_layers(self._connection, part, wanted, step)
                served = step_means.is_served(layers, head, wanted, start, end)
            rest = wanted[~served]
            newer = [finite.summed(_pieces(head.take(np.isin(head.series, wanted[served]))), step)]
            for first in range(0, rest.size, _SERIES_READ_AT_ONCE):
                points = self._points(parts, recent, rest[first : first + _SERIES_READ_AT_ONCE], start, end)
                newer.append(finite.summed(_pieces(points), step))
        serving = [layer for layer in (layer.only(served) for layer in layers) if layer.rows.size]
        return step_means.assemble(wanted, step, serving, newer)

    def read_judged(self, series: Int32, start: int, end: int) -> JudgedBatch:
        """See `SeriesReader.read_judged`."""
        wanted, start, end = _bounded(series, start, end)
        found: list[Columns] = []
        with snapshot(self._connection):
            head = self._head.judged_at(self._connection)
            for part in self._parts(start, end):
                found.extend(chunks.read_judged(self._connection, part, wanted, start, end))
            pieces = list(sheets.read_judged(self._connection, wanted, start, end))
        recent = rows.laid_over([*pieces, head.select(wanted, start, end)])
        if not found:
            return JudgedBatch(rows.points_of(recent), rows.verdicts_of(recent))
        found.extend(rows.by_series(recent))
        found.sort(key=lambda piece: int(piece[0][0]))
        merged = rows.last_wins(rows.concat(found))
        return JudgedBatch(rows.points_of(merged), rows.verdicts_of(merged))

    def last_points(self) -> PointBatch:
        """See `SeriesReader.last_points`."""
        with snapshot(self._connection):
            ends = [*chunks.ends(self._connection), *sheets.ends(self._connection)]
            recent = self._head.at(self._connection).points()
        series = np.concatenate([*(end["series"] for end in ends), recent[0]])
        time = np.concatenate([*(end["last"] for end in ends), recent[1]])
        value = np.concatenate([*(end["last_value"] for end in ends), recent[2]])
        newest = np.full(_size(series), _NEVER, np.int64)
        np.maximum.at(newest, series, time)
        is_newest = time == newest[series]
        last = np.empty(newest.size, np.float64)
        last[series[is_newest]] = value[is_newest]  # of equal ones the last, which was written last
        (held,) = np.nonzero(newest != _NEVER)
        return PointBatch(held.astype(np.int32), newest[held], last[held])

    def first_times(self) -> tuple[Int32, Int64]:
        """See `SeriesReader.first_times`."""
        with snapshot(self._connection):
            ends = [*chunks.ends(self._connection), *sheets.ends(self._connection)]
            recent = self._head.at(self._connection).points()
        series = np.concatenate([*(end["series"] for end in ends), recent[0]])
        time = np.concatenate([*(end["first"] for end in ends), recent[1]])
        never = np.iinfo(np.int64).max
        oldest = np.full(_size(series), never, np.int64)
        np.minimum.at(oldest, series, time)
        (held,) = np.nonzero(oldest != never)
        return held.astype(np.int32), oldest[held]

    def existing(self, points: PointBatch) -> tuple[Bool, Float64]:
        """See `SeriesReader.existing`."""
        if not len(points):
            return np.empty(0, np.bool_), np.empty(0, np.float64)
        with snapshot(self._connection):
            found, value = self._head.at(self._connection).lookup(points)
            (asked,) = np.nonzero(~found)
            if asked.size:
                found[asked], value[asked] = sheets.lookup(self._connection, points.take(asked))
            for part in reversed(chunks.parts(self._connection)):
                start, end = layout.span(part)
                time = points.time_unix_nano
                (asked,) = np.nonzero(~found & (time >= start) & (time < end))
                if asked.size:
                    found[asked], value[asked] = chunks.lookup(self._connection, part, points.take(asked))
        return found, value

    def events(self) -> EventBatch:
        """See `SeriesReader.events`."""
        with snapshot(self._connection):
            return records.events(self._connection)

    def episodes(self, start: int, end: int, series: Int32 | None = None) -> list[Episode]:
        """See `SeriesReader.episodes`."""
        with snapshot(self._connection):
            return records.episodes(self._connection, start, end, series)

    def episode(self, episode_id: str) -> Episode | None:
        """See `SeriesReader.episode`."""
        with snapshot(self._connection):
            return records.episode(self._connection, episode_id)

    def incidents(self, start: int, end: int) -> list[Incident]:
        """See `SeriesReader.incidents`."""
        with snapshot(self._connection):
            return incidents.between(self._connection, start, end)

    def incident(self, incident_id: str) -> Incident | None:
        """See `SeriesReader.incident`."""
        with snapshot(self._connection):
            return incidents.one(self._connection, incident_id)

    def feedback(self, series: int | None = None) -> list[Feedback]:
        """See `SeriesReader.feedback`."""
        with snapshot(self._connection):
            return answers.given(self._connection, series)

    def open_episodes(self) -> list[Episode]:
        """See `SeriesReader.open_episodes`."""
        with snapshot(self._connection):
            return records.open_episodes(self._connection)

    def exemplars(self, start: int, end: int, series: Int32 | None = None) -> list[TraceLink]:
        """See `SeriesReader.exemplars`."""
        with snapshot(self._connection):
            return exemplars.between(self._connection, start, end, series)

    def models(self, *, after_version: int = 0, from_series: int = 0, most: int | None = None) -> list[ModelRecord]:
        """See `SeriesReader.models`."""
        with snapshot(self._connection):
            return models.models(self._connection, after_version, from_series, most)

    def model(self, series: int, version: int) -> ModelRecord | None:
        """See `SeriesReader.model`."""
        with snapshot(self._connection):
            return models.model(self._connection, series, version)

    def model_versions(self, series: int) -> list[ModelRecord]:
        """See `SeriesReader.model_versions`."""
        with snapshot(self._connection):
            return models.versions(self._connection, series)

    def bands(self) -> BandStates:
        """See `SeriesReader.bands`."""
        with snapshot(self._connection):
            return records.bands(self._connection)

    def blob(self, name: str) -> bytes | None:
        """See `SeriesReader.blob`."""
        with snapshot(self._connection):
            return records.blob(self._connection, name)

    def receipts(self, since_unix_nano: int) -> list[RequestReceipt]:
        """See `SeriesReader.receipts`."""
        with snapshot(self._connection):
            return receipts.since(self._connection, since_unix_nano)

    def close(self) -> None:
        """Release the connection."""
        with translated():
            self._connection.close()

    def _points(self, parts: list[int], head: Recent, wanted: Int32, start: int, end: int) -> PointBatch:
        found: list[Piece] = []
        for part in parts:
            found.extend(chunks.read_points(self._connection, part, wanted, start, end))
        newer = rows.points_of(self._newer(head, wanted, start, end))
        if not found:
            return newer
        found.extend(_pieces(newer))
        return rows.joined(found)

    def _newer(self, head: Recent, wanted: Int32, start: int, end: int) -> Columns:
        """Return the points of sheets and head."""
        pieces = list(sheets.read_points(self._connection, wanted, start, end))
        return rows.laid_over([*pieces, head.select(wanted, start, end)[:3]])

    def _parts(self, start: int, end: int) -> list[int]:
        """Return blocks and days that touch `[start, end)`."""
        spans = [(part, *layout.span(part)) for part in chunks.parts(self._connection)]
        return [part for part, first, last in spans if first < end and start < last]


def _bounded(series: Int32, start: int, end: int) -> tuple[Int32, int, int]:
    """Return the distinct ids that can exist, ascending, and the range within times that can."""
    wanted = np.unique(series[(series >= 0) & (series < layout.MAX_SERIES)])
    return wanted, max(start, 0), min(end, _LAST_TIME)


def _pieces(points: PointBatch) -> list[Piece]:
    """Return points sorted by (series, time) by series."""
    columns = rows.by_series((points.series, points.time_unix_nano, points.value))
    return [(int(series[0]), time, value) for series, time, value in columns]


def _size(series: Int32) -> int:
    return int(series.max()) + 1 if series.size else 0
