"""When an anomaly begins and when it is over: one episode per stretch, never a state per point.

An episode opens at an onset, the first flagged point after one that was not. It closes when for three points in a row
and two minutes the value was usual by what was expected at the onset (`holding`), or after 24 hours. A value that has
settled elsewhere for two hours is told of as a level shift; eight hours after the onset its level is the new normal.

An onset within two hours of the end, and a day of the begin, goes on with the same episode. From its fourth onset on
it is flapping, and needs an hour of usual values to close. An episode that has not become a quarter worse than it was
for eight hours is muted: it stays open, but its points are flagged no more until it does.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.detect import record
from collector_processor.detect.holding import Held
from collector_processor.telemetry.episode import (
    DEVIATION,
    FLAPPING_FROM,
    LEVEL_SHIFT,
    MUTED_AFTER,
    Episode,
    Shift,
)
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64
from collector_processor.telemetry.verdict import VerdictBatch

QUIET_POINTS = 3
QUIET_TIME = 2 * MINUTE
MAX_OPEN = DAY
FLAPPING_QUIET_TIME = HOUR
GOES_ON_WITHIN = 2 * HOUR
WORSE = 1.25
SETTLES_AFTER = 2 * HOUR
ADOPTED_AFTER = 8 * HOUR
REFRESH = MINUTE
"""An open episode in which nothing but time happened is reported again only this often."""

RECOVERED = "recovered"
TIMEOUT = "timeout"
ADOPTED = f"adopted as the new normal after {ADOPTED_AFTER // HOUR} h"

_REASONS = ("", RECOVERED, TIMEOUT, ADOPTED)

DTYPE = np.dtype(
    [
        ("start", "<i8"),
        ("opened", "<i8"),  # its last onset
        ("onsets", "<i4"),  # 0: there never was an episode
        ("end", "<i8"),  # of the newest that is closed
        ("last", "<i8"),
        ("reported", "<i8"),  # `last` as of the last report
        ("peak_score", "<f8"),
        ("actual", "<f8"),
        ("yhat", "<f8"),
        ("lower", "<f8"),
        ("upper", "<f8"),
        ("worsened", "<i8"),
        ("worst", "<f8"),  # |score| as of then
        ("quiet_since", "<i8"),
        ("quiet_points", "<i4"),
        ("before", "<f8"),  # the level before the shift
        ("after", "<f8"),
        ("is_shift", "?"),
        ("is_open", "?"),
        ("was_flagged", "?"),
        ("closed", "u1"),  # why, of `_REASONS`
    ]
)


class Episodes:
    """The newest episode of every series; `series` arguments are dense ids, each at most once per call."""

    def __init__(self) -> None:
        self.records = record.filled(DTYPE, 0, {})

    def grow(self, n: int) -> None:
        """Make room for series ids below `n`."""
        self.records = record.grown(self.records, n, {})

    def is_open(self, series: Int32) -> Bool:
        """Tell which series `(n,)` have an open episode."""
        is_open: Bool = self.records["is_open"][series]
        return is_open

    def is_muted(self, series: Int32, time_unix_nano: Int64) -> Bool:
        """Tell which series `(n,)` have an open episode that is known well enough at times `(n,)`."""
        rows = self.records.take(series)
        muted: Bool = rows["is_open"] & (time_unix_nano - rows["worsened"] >= MUTED_AFTER)
        return muted

    def update(
        self, series: Int32, time_unix_nano: Int64, value: Float64, verdicts: VerdictBatch, against: Held
    ) -> list[Episode]:
        """Take scored points, each newer than the newest of its series; return the episodes that changed."""
        flagged = verdicts.anomaly != 0
        index = np.flatnonzero(flagged | self.records["is_open"][series] | self.records["was_flagged"][series])
        if not index.size:
            return []
        series, time, flagged = series[index], time_unix_nano[index], flagged[index]
        rows = self.records[series]
        value, verdicts = value[index], verdicts.take(index)
        held, onset = rows["is_open"].copy(), flagged & ~rows["is_open"] & ~rows["was_flagged"]
        goes_on = _open(rows, onset, time)
        size = np.abs(verdicts.score)
        new_peak = (onset & ~goes_on) | ((held | goes_on) & (size > np.abs(rows["peak_score"])))
        _take_peak(rows, new_peak, value, verdicts)
        _note_worse(rows, onset, held, time, size)
        shifted = _settle(rows, held, time, against.before[index], against.after[index])
        closed = _hold(rows, held, time, against.is_usual[index], np.isfinite(against.after[index]))
        rows["was_flagged"] = flagged
        is_due = rows["is_open"] & (rows["last"] - rows["reported"] >= REFRESH)
        reported = onset | new_peak | shifted | closed | is_due
        rows["reported"][reported] = rows["last"][reported]
        self.records[series] = rows
        return [_episode(int(series[i]), rows[i]) for i in np.flatnonzero(reported)]

    def expire(self, now_unix_nano: int) -> list[Episode]:
        """Close what is open for 24 hours, also of series that fell silent; return what was closed."""
        is_open = np.flatnonzero(self.records["is_open"])
        overdue = is_open[now_unix_nano - self.records["opened"][is_open] >= MAX_OPEN]
        self.records["is_open"][overdue] = False
        self.records["closed"][overdue] = _REASONS.index(TIMEOUT)
        self.records["end"][overdue] = self.records["opened"][overdue] + MAX_OPEN
        return [_episode(int(i), self.records[i]) for i in overdue]

    def restore(self, episodes: Sequence[Episode]) -> None:
        """Make exactly these episodes the open ones: the store knows best.

        Counting towards their ends starts anew.
        """
        known = {(e.series, e.start_unix_nano) for e in episodes}
        for i in np.flatnonzero(self.records["is_open"]):
            if (int(i), int(self.records["start"][i])) not in known:
                self.records["is_open"][i] = False
        for episode in episodes:
            self._restore_one(episode)

    def _restore_one(self, episode: Episode) -> None:
        row = self.records[episode.series]
        if not (row["is_open"] and row["start"] == episode.start_unix_nano):
            row["was_flagged"] = False
            row["opened"] = episode.start_unix_nano
            row["worst"] = abs(episode.peak_score)
        row["is_open"], row["start"] = True, episode.start_unix_nano
        row["onsets"], row["worsened"] = episode.onsets, episode.worsened_unix_nano or episode.start_unix_nano
        row["last"] = row["reported"] = episode.last_unix_nano
        for name in ("peak_score", "actual", "yhat", "lower", "upper"):
            row[name] = getattr(episode, name)
        row["is_shift"] = episode.shift is not None
        if episode.shift is not None:
            row["before"], row["after"] = episode.shift.before, episode.shift.after
        row["quiet_points"] = row["closed"] = 0


def episode_id(series: int, start_unix_nano: int) -> str:
    """Return 16 hex digits that a replay of the same points gives again."""
    return blake2b(f"{series}:{start_unix_nano}".encode(), digest_size=8).hexdigest()


def _open(rows: record.Records, onset: Bool, time: Int64) -> Bool:
    """Open episodes at onsets; return which of them go on with the one before."""
    goes_on: Bool = onset & (rows["onsets"] > 0)
    goes_on &= (time - rows["end"] <= GOES_ON_WITHIN) & (time - rows["start"] < MAX_OPEN)
    rows["is_open"] |= onset
    rows["start"] = np.where(onset & ~goes_on, time, rows["start"])
    rows["onsets"] = np.where(onset, np.where(goes_on, rows["onsets"] + 1, 1), rows["onsets"])
    for name in ("opened", "last"):
        rows[name] = np.where(onset, time, rows[name])
    rows["quiet_points"][onset] = rows["closed"][onset] = 0
    rows["is_shift"] &= ~onset
    return goes_on


def _note_worse(rows: record.Records, onset: Bool, held: Bool, time: Int64, size: Float64) -> None:
    """Note where an episode begins or has become clearly worse than when this was last noted."""
    worse = onset | (held & (size > WORSE * rows["worst"]))
    rows["worsened"] = np.where(worse, time, rows["worsened"])
    rows["worst"] = np.where(worse, size, rows["worst"])


def _take_peak(rows: record.Records, new_peak: Bool, value: Float64, verdicts: VerdictBatch) -> None:
    rows["peak_score"] = np.where(new_peak, verdicts.score, rows["peak_score"])
    rows["actual"] = np.where(new_peak, value, rows["actual"])
    rows["yhat"] = np.where(new_peak, verdicts.yhat, rows["yhat"])
    rows["lower"] = np.where(new_peak, verdicts.lower, rows["lower"])
    rows["upper"] = np.where(new_peak, verdicts.upper, rows["upper"])


def _settle(rows: record.Records, held: Bool, time: Int64, before: Float64, after: Float64) -> Bool:
    """Follow the level that series have settled at; return which are told of as shifts from now on."""
    settled = held & np.isfinite(after) & (time - rows["opened"] >= SETTLES_AFTER)
    rows["before"] = np.where(settled & ~rows["is_shift"], before, rows["before"])
    rows["after"] = np.where(settled, after, rows["after"])
    shifted: Bool = settled & ~rows["is_shift"]
    rows["is_shift"] |= settled
    return shifted


def _hold(rows: record.Records, held: Bool, time: Int64, is_usual: Bool, is_settled: Bool) -> Bool:
    """Count quiet points of episodes that were open before; close and return those that are over."""
    overdue = held & (time - rows["opened"] >= MAX_OPEN)
    rows["last"] = np.where(held & ~overdue, time, rows["last"])
    quiet = held & is_usual
    rows["quiet_since"] = np.where(quiet & (rows["quiet_points"] == 0), time, rows["quiet_since"])
    rows["quiet_points"] = np.where(quiet, rows["quiet_points"] + 1, 0)
    quiet_time = np.where(rows["onsets"] >= FLAPPING_FROM, FLAPPING_QUIET_TIME, QUIET_TIME)
    recovered = quiet & (rows["quiet_points"] >= QUIET_POINTS) & (time - rows["quiet_since"] >= quiet_time)
    adopted = held & is_settled & (time - rows["opened"] >= ADOPTED_AFTER)
    closed: Bool = recovered | overdue | adopted
    if closed.any():
        ends = [
            (recovered, RECOVERED, rows["quiet_since"]),
            (overdue, TIMEOUT, rows["opened"] + MAX_OPEN),
            (adopted, ADOPTED, rows["opened"] + ADOPTED_AFTER),
        ]
        over = [is_over for is_over, *_ in ends]
        rows["end"] = np.select(over, [end for *_, end in ends], rows["end"])
        rows["closed"] = np.select(over, [np.uint8(_REASONS.index(reason)) for _, reason, _ in ends], rows["closed"])
    rows["is_open"] &= ~closed
    return closed


def _episode(series: int, row: np.void) -> Episode:
    return Episode(
        episode_id=episode_id(series, int(row["start"])),
        series=series,
        start_unix_nano=int(row["start"]),
        end_unix_nano=None if row["is_open"] else int(row["end"]),
        last_unix_nano=int(row["last"]),
        direction=1 if row["peak_score"] > 0.0 else -1,
        peak_score=float(row["peak_score"]),
        actual=float(row["actual"]),
        yhat=float(row["yhat"]),
        lower=float(row["lower"]),
        upper=float(row["upper"]),
        close_reason=_REASONS[row["closed"]],
        kind=LEVEL_SHIFT if row["is_shift"] else DEVIATION,
        onsets=int(row["onsets"]),
        worsened_unix_nano=int(row["worsened"]),
        shift=_shift(row) if row["is_shift"] else None,
    )


def _shift(row: np.void) -> Shift:
    return Shift(float(row["before"]), float(row["after"]), int(row["opened"]) + ADOPTED_AFTER)
