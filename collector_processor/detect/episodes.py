"""When an anomaly begins and when it is over: one episode per stretch, never a state per point.

An episode opens at an onset, the first flagged point after one that was not. It is held while no forecast can explain
the value, and closes when for three points in a row and two minutes the value was usual: within the tolerance of one of
the forecasts, as it was at the onset; or after 24 hours. A value that stays away for good is thus over when the first
forecast has followed it.

An onset within two hours of the end, and a day of the begin, goes on with the same episode. From its fourth onset on
it is flapping, and needs an hour of usual values to close. An episode that has not become a quarter worse than it was
for eight hours is muted: it stays open, but its points are flagged no more until it does.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.detect import record
from collector_processor.telemetry.episode import FLAPPING_FROM, MUTED_AFTER, Episode
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64
from collector_processor.telemetry.verdict import VerdictBatch

QUIET_POINTS = 3
QUIET_TIME = 2 * MINUTE
MAX_OPEN = DAY
FLAPPING_QUIET_TIME = HOUR
GOES_ON_WITHIN = 2 * HOUR
WORSE = 1.25
REFRESH = MINUTE
"""An open episode in which nothing but time happened is reported again only this often."""

RECOVERED = "recovered"
TIMEOUT = "timeout"

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
        ("is_open", "?"),
        ("was_flagged", "?"),
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
        self, series: Int32, time_unix_nano: Int64, value: Float64, verdicts: VerdictBatch, is_usual: Bool
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
        closed = _hold(rows, held, time, is_usual[index])
        rows["was_flagged"] = flagged
        reported = onset | new_peak | closed | (rows["is_open"] & (rows["last"] - rows["reported"] >= REFRESH))
        rows["reported"][reported] = rows["last"][reported]
        self.records[series] = rows
        return [_episode(int(series[i]), rows[i]) for i in np.flatnonzero(reported)]

    def expire(self, now_unix_nano: int) -> list[Episode]:
        """Close what is open for 24 hours, also of series that fell silent; return what was closed."""
        overdue = self.records["is_open"] & (now_unix_nano - self.records["opened"] >= MAX_OPEN)
        self.records["is_open"][overdue] = False
        self.records["quiet_points"][overdue] = 0
        self.records["end"][overdue] = self.records["opened"][overdue] + MAX_OPEN
        return [_episode(int(i), self.records[i]) for i in np.flatnonzero(overdue)]

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
        row["quiet_points"] = 0


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
    rows["quiet_points"][onset] = 0
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


def _hold(rows: record.Records, held: Bool, time: Int64, is_usual: Bool) -> Bool:
    """Count quiet points of episodes that were open before; close and return those that are over."""
    overdue = held & (time - rows["opened"] >= MAX_OPEN)
    rows["last"] = np.where(held & ~overdue, time, rows["last"])
    quiet = held & is_usual
    rows["quiet_since"] = np.where(quiet & (rows["quiet_points"] == 0), time, rows["quiet_since"])
    rows["quiet_points"] = np.where(quiet, rows["quiet_points"] + 1, 0)
    quiet_time = np.where(rows["onsets"] >= FLAPPING_FROM, FLAPPING_QUIET_TIME, QUIET_TIME)
    recovered = quiet & (rows["quiet_points"] >= QUIET_POINTS) & (time - rows["quiet_since"] >= quiet_time)
    rows["quiet_points"][overdue] = 0  # an end without quiet is a time-out
    rows["end"] = np.where(recovered, rows["quiet_since"], np.where(overdue, rows["opened"] + MAX_OPEN, rows["end"]))
    rows["is_open"] &= ~(recovered | overdue)
    closed: Bool = recovered | overdue
    return closed


def _episode(series: int, row: np.void) -> Episode:
    is_quiet = row["quiet_points"] > 0
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
        close_reason="" if row["is_open"] else (RECOVERED if is_quiet else TIMEOUT),
        onsets=int(row["onsets"]),
        worsened_unix_nano=int(row["worsened"]),
    )
