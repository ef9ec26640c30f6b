"""Series that stop reporting: absent is not zero, but it is news where a series was always there.

A series is watched once it reported regularly for a day: no gap longer than 5 of its usual intervals, which follow
the gaps seen, between arrivals and between times of points. So a nightly job, a scrape of something short-lived and
what comes only with traffic are never watched. It is silent after `intervals` of its usual ones, and `at_least` so
long. Then

* nothing of its service came since either: one episode for the service, on the first of its watched series;
* else its own resource still reports: an episode of the series, at most one at a time for each service;
* else an instance went away while its service lives: nothing is said.

It is over when the series reports again, for a service when anything of it does, or after a day. What was away for more
than 6 hours has to be regular for a day again. Nothing is said where a deviation is being told of already.
"""

from collections.abc import Sequence
from hashlib import blake2b
from types import ModuleType

import numpy as np
import numpy.typing as npt

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.detect import record
from collector_processor.kernels import MUCH_POINTS, LateKernel
from collector_processor.telemetry.episode import SILENCE, Episode
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.rule import Missing, Rules

REGULAR_FOR = DAY
FORGOTTEN_AFTER = 6 * HOUR
MAX_OPEN = DAY
REPORTS_AGAIN = "reports again"
TIMEOUT = "timeout"

_BLINK = MINUTE
REGULAR = 5
FOLLOW = 0.25
LONGEST = 2.0
_OVERDUE = 2
_OF_SERIES, _OF_SERVICE = 1, 2

DTYPE = np.dtype(
    [
        ("newest", "<i8"),  # time of the newest point; 0: none
        ("seen", "<i8"),  # when it arrived, or when this process began to listen
        ("usual", "<f8"),  # between points
        ("pause", "<f8"),  # between arrivals
        ("regular", "<i8"),  # for how long there was no long gap
        ("since", "<i8"),  # start of the open episode
        ("scope", "u1"),  # what that is of: 0: none is open, 1: the series, 2: its service
        ("filled", "<i8"),  # time of the newest point put in its place
        ("value", "<f8"),  # of the newest point
    ]
)

_ALIGNED = np.dtype(DTYPE.descr, align=True)
"""The same in memory, where each number lies as the processor likes it."""


class Silence:
    """When every series was heard of; `series` arguments are dense ids."""

    def __init__(self) -> None:
        self.records = record.filled(_ALIGNED, 0, {})
        self._looked = 0

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`."""
        self.records = record.grown(self.records, n, {})

    def note(self, points: PointBatch, now: int) -> None:
        """Take note of points that arrive now, in any order."""
        if not len(points):
            return
        newest, oldest_time, count = _heard(points)
        kernel = KERNEL.loaded_for(len(points)) if count is None else None
        if kernel is not None:
            _note_compiled(kernel, self.records, points, now)
            return
        rows, time = self.records.take(newest.series), newest.time_unix_nano
        before, usual, seen = rows["newest"].copy(), rows["usual"].copy(), rows["seen"]
        is_known, is_newer = before > 0, time > before
        span = np.where(is_newer, time - np.where(is_known, before, oldest_time), 0)
        gap = span.astype(np.float64) if count is None else span / np.maximum(count - ~is_known, 1)
        is_regular = gap <= REGULAR * np.where(usual > 0, usual, gap)
        regular = rows["regular"] + span
        if not is_regular.all():
            is_excused = (rows["scope"] > 0) & (span < FORGOTTEN_AFTER)
            regular = np.where(is_regular, regular, np.where(is_excused, rows["regular"], 0))
        rows["regular"] = regular
        rows["usual"] = _followed(usual, gap)
        rows["pause"] = _followed(rows["pause"].copy(), np.where(seen > 0, now - seen, 0).astype(np.float64))
        np.copyto(rows["newest"], time, where=is_newer)
        np.copyto(rows["value"], newest.value, where=is_newer)
        rows["seen"] = now
        self.records.put(newest.series, rows)

    def look(self, now: int, rules: Rules, is_flagged: Bool) -> list[Episode]:
        """Return the episodes that opened or closed by now, for the rules of all series `(S,)`.

        `is_flagged` `(S,)` are the series that have an open episode of another kind.
        """
        rows, service = self.records[: rules.size], rules["service"].copy()
        if self._looked and now - self._looked > _BLINK:
            waiting = (rows["seen"] > 0) & ~_of_services(rows["scope"] > 0, service)
            rows["seen"][waiting] += now - self._looked  # this process was away, not they
        self._looked = now
        wait = np.maximum(rules["at_least"], rules["intervals"] * np.maximum(rows["usual"], rows["pause"]))
        if not self._may_change(now, rows, rules, wait).any():  # nearly always
            return []
        heard_of_service = _latest(rows["seen"], service)[service]
        closed = self._closed(now, rows, service, heard_of_service)
        silent = (rows["seen"] > 0) & (now - rows["seen"] > wait) & (rows["scope"] == 0)
        asked, told = rules["missing"] == Missing.ALERT, _any(rows["scope"] > 0, service)
        told |= _any(is_flagged & silent, service)
        watched = silent & (rules["missing"] == Missing.AUTO) & (rows["regular"] >= REGULAR_FOR)
        watched &= ~told[service]
        whole = watched & (now - heard_of_service > wait)
        heard_of_resource = _latest(rows["seen"], rules["resource"])[rules["resource"]]
        alone = watched & ~whole & (heard_of_resource - rows["seen"] > wait / 2)
        opened = [*_first_of(whole, service), *_first_of(alone & ~_of_services(whole, service), service)]
        opened += np.flatnonzero(silent & asked & ~is_flagged & (rows["usual"] > 0)).tolist()
        for series in opened:
            rows["scope"][series] = _OF_SERVICE if whole[series] else _OF_SERIES
            rows["since"][series] = int(rows["newest"][series] + rows["usual"][series])
        return [*closed, *(self._episode(series, now, None) for series in opened)]

    def watched(self, series: Int32, rules: Rules) -> Bool:
        """Tell whose absence is told of, under rules `(n,)`."""
        return _is_watched(self.records["regular"][series], rules)

    def is_silent(self, start: int, end: int) -> Bool:
        """Tell which series ids in `[start, end)` have an open episode."""
        silent: Bool = self.records["scope"][start:end] > 0
        return silent

    def fill(self, now: int, series: Int32, missing: npt.NDArray[np.uint8]) -> PointBatch:
        """Return points in place of missing ones, zeros or the last value as rules ask `(n,)`; a day of them."""
        rows = self.records.take(series)
        due = np.maximum(rows["newest"], rows["filled"]) + rows["usual"].astype(np.int64)
        is_overdue = now - rows["seen"] > _OVERDUE * np.maximum(rows["usual"], rows["pause"])
        wanted = (rows["usual"] > 0) & is_overdue & (due <= now) & (due - rows["newest"] <= DAY)
        value: Float64 = np.where(missing == Missing.ZERO, 0.0, rows["value"])
        points = PointBatch(series, due, value).take(wanted)
        self.records["filled"][points.series] = points.time_unix_nano
        return points

    def restart(self, now: int, episodes: Sequence[Episode]) -> None:
        """Begin to listen now: what came while nobody listened is no silence. Make these episodes the open ones."""
        self.records["seen"][self.records["newest"] > 0] = now
        scopes = {episode.series: self.records["scope"][episode.series] or _OF_SERIES for episode in episodes}
        self.records["scope"] = 0
        for episode in episodes:
            self.records["scope"][episode.series] = scopes[episode.series]
            self.records["since"][episode.series] = episode.start_unix_nano
            self.records["seen"][episode.series] = episode.start_unix_nano

    def _may_change(self, now: int, rows: record.Records, rules: Rules, wait: Float64) -> Bool:
        """Tell which series `(S,)` may open an episode by now, or have one open."""
        is_late = (rows["seen"] > 0) & (now - rows["seen"] > wait)
        return (rows["scope"] > 0) | (is_late & _is_watched(rows["regular"], rules))

    def _closed(self, now: int, rows: record.Records, service: Int32, heard_of_service: Int64) -> list[Episode]:
        heard = np.where(rows["scope"] == _OF_SERVICE, heard_of_service, rows["seen"])
        is_back = (rows["scope"] > 0) & (heard > rows["since"])
        overdue = (rows["scope"] > 0) & ~is_back & (now - rows["since"] >= MAX_OPEN)
        changed = [
            *(self._episode(i, int(heard[i]), REPORTS_AGAIN) for i in np.flatnonzero(is_back).tolist()),
            *(self._episode(i, now, TIMEOUT) for i in np.flatnonzero(overdue).tolist()),
        ]
        returned = _of_services(is_back & (rows["scope"] == _OF_SERVICE), service)
        rows["seen"][returned] = now  # the others may take their time
        given_up = overdue | _of_services(overdue & (rows["scope"] == _OF_SERVICE), service)
        rows["regular"][given_up] = 0
        rows["scope"][is_back | overdue] = 0
        return changed

    def _episode(self, series: int, now: int, close_reason: str | None) -> Episode:
        row = self.records[series]
        start = int(row["since"])
        return Episode(
            episode_id=blake2b(f"{SILENCE}:{series}:{start}".encode(), digest_size=8).hexdigest(),
            series=series,
            start_unix_nano=start,
            end_unix_nano=None if close_reason is None else now,
            last_unix_nano=now,
            direction=-1,
            peak_score=float("nan"),
            actual=float("nan"),
            yhat=float("nan"),
            lower=float("nan"),
            upper=float("nan"),
            close_reason=close_reason or "",
            kind=SILENCE,
            reason=_REASON[int(row["scope"])].format(_text(row["usual"])),
            is_of_service=bool(row["scope"] == _OF_SERVICE),
        )


_REASON = {
    _OF_SERIES: "no point since, where one came every {}, and its resource still reports others",
    _OF_SERVICE: "nothing of the whole service since; this series reported every {}",
}


def _note_compiled(kernel: ModuleType, records: record.Records, points: PointBatch, now: int) -> None:
    """Take note of a point each of series, by columns as the kernel is compiled for."""
    columns = (points.series, points.time_unix_nano, points.value)
    kernel.note(records, *map(np.ascontiguousarray, columns), now)


def _loaded() -> ModuleType:
    from collector_processor.detect import silence_kernel

    one = PointBatch(np.zeros(1, np.int32), np.zeros(1, np.int64), np.zeros(1))
    _note_compiled(silence_kernel, record.filled(_ALIGNED, 1, {}), one, 0)
    return silence_kernel


KERNEL = LateKernel("noting who reports", _loaded, MUCH_POINTS)


def _text(interval: float) -> str:
    seconds = interval / 1e9
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"


def _heard(points: PointBatch) -> tuple[PointBatch, Int64, Int64 | None]:
    """Return the newest point of each series, the time of its oldest, and how many there are; None: one of each."""
    if (points.series[1:] > points.series[:-1]).all():
        return points, points.time_unix_nano, None
    points = points.take(np.lexsort((points.time_unix_nano, points.series)))
    last = np.flatnonzero(np.diff(points.series, append=-1))
    count = np.diff(last, prepend=-1)
    return points.take(last), points.time_unix_nano[last - count + 1], count


def _followed(usual: Float64, gap: Float64) -> Float64:
    """Return usual intervals after one more; none counts as more than twice the usual."""
    start = np.where(usual > 0, usual, gap)
    followed: Float64 = np.where(gap > 0, start + FOLLOW * (np.minimum(gap, LONGEST * start) - start), usual)
    return followed


def _is_watched(regular: Int64, rules: Rules) -> Bool:
    """Tell whose absence is told of, under rules `(n,)`."""
    missing = rules["missing"]
    watched: Bool = (missing == Missing.ALERT) | ((missing == Missing.AUTO) & (regular >= REGULAR_FOR))
    return watched


def _latest(seen: Int64, group: Int32) -> Int64:
    """Return the newest arrival of each group."""
    latest = np.zeros(int(group.max(initial=-1)) + 1, np.int64)
    np.maximum.at(latest, group, seen)
    return latest


def _any(member: Bool, group: Int32) -> Bool:
    return np.bincount(group[member], minlength=int(group.max(initial=-1)) + 1) > 0


def _of_services(member: Bool, service: Int32) -> Bool:
    """Tell which series are of a service that has such a member."""
    found: Bool = _any(member, service)[service]
    return found


def _first_of(member: Bool, group: Int32) -> list[int]:
    """Return the first member of each group."""
    members = np.flatnonzero(member)
    _, first = np.unique(group[members], return_index=True)
    return [int(i) for i in members[first]]
