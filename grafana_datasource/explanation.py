"""Say why an episode is one: what was seen, what was expected and of what that is made, and how rare it is.

Nothing is fitted here: what judged the first point was kept with the episode, points and verdicts are stored.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from collector_processor.clock import DAY, NANOS_PER_SECOND
from collector_processor.store.base import JudgedBatch
from collector_processor.telemetry.episode import SILENCE, Drift, Episode
from collector_processor.telemetry.points import Float64
from collector_processor.telemetry.series import SeriesKey
from collector_processor.telemetry.titles import full_title

LOOK_BACK = 42 * DAY
"""How far back an episode is compared with its series' own past, as far as that is stored."""

_DRAWN = {
    "prophet": "Prophet",
    "seasonal": "the median of the day",
    "recent": "the median of the day over three days",
}
_BEFORE = 3
_MOST_POINTS = 12


@dataclass(frozen=True, slots=True)
class Rarity:
    """Where an episode stands among `days` blocks of 24 hours before it, by the largest distance from the forecast.

    `rank` 1 is the largest of all. `days_since` is how long ago something was as large, None where nothing was.
    """

    days: int
    rank: int
    days_since: float | None


@dataclass(frozen=True, slots=True)
class EvidencePoint:
    """A stored point with the verdict it got."""

    time_unix_nano: int
    value: float
    yhat: float
    lower: float
    upper: float
    score: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """One plain sentence, and what it is made of."""

    sentence: str
    rarity: Rarity | None
    evidence: list[EvidencePoint]


def explain(key: SeriesKey, episode: Episode, past: JudgedBatch) -> Explanation:
    """Explain an episode by the stored points `past` of its series, from `LOOK_BACK` before it to its last point."""
    rarity = rarity_of(episode, past) if episode.is_of_points else None
    return Explanation(_sentence(key, episode, rarity), rarity, evidence_of(episode, past))


def summary(key: SeriesKey, episode: Episode) -> str:
    """Say what was seen where what was expected, and of what that is made; all of it is kept with the episode."""
    if episode.kind == SILENCE:
        return episode.reason
    if episode.drift is not None:
        return _drifting(key, episode, episode.drift)
    band = f"{_number(episode.lower)} to {_number(episode.upper)}"
    return f"{_in_unit(episode.actual, key)} where {band} was expected ({_expected(episode)}){_settled(episode)}"


def rarity_of(episode: Episode, past: JudgedBatch) -> Rarity | None:
    """Compare an episode with the days before it; None where there is no whole day to compare with."""
    time, distance = past.points.time_unix_nano, _distance(past)
    before = (time < episode.start_unix_nano) & np.isfinite(distance)
    time, distance = time[before], distance[before]
    if not time.size or episode.start_unix_nano - time[0] < DAY:
        return None
    largest = abs(episode.actual - episode.yhat)
    block = (episode.start_unix_nano - 1 - time) // DAY
    maxima = np.full(int(block.max()) + 1, -1.0)
    np.maximum.at(maxima, block, distance)
    as_large = np.flatnonzero(distance >= largest)
    days_since = (episode.start_unix_nano - int(time[as_large[-1]])) / DAY if as_large.size else None
    return Rarity(int((maxima >= 0.0).sum()), 1 + int((maxima >= largest).sum()), days_since)


def evidence_of(episode: Episode, past: JudgedBatch) -> list[EvidencePoint]:
    """Return the last points before an episode, its first ones, and the ones furthest outside, by time."""
    time, score = past.points.time_unix_nano, np.abs(np.nan_to_num(past.verdicts.score))
    first, stop = np.searchsorted(time, (episode.start_unix_nano, episode.last_unix_nano + 1)).tolist()
    within = np.arange(first, stop)
    furthest = within[np.argsort(-score[first:stop], kind="stable")]
    chosen = [*range(max(0, first - _BEFORE), first), *within[:_BEFORE].tolist(), *furthest.tolist()]
    rows = sorted(list(dict.fromkeys(chosen))[:_MOST_POINTS])
    return [_point(past, row) for row in rows]


def _sentence(key: SeriesKey, episode: Episode, rarity: Rarity | None) -> str:
    parts = [f"{full_title(key)}: {summary(key, episode)} since {_moment(episode.start_unix_nano)}"]
    if rarity is not None:
        parts.append(_rare(rarity))
    if episode.onset is not None and episode.onset.reason:
        drawn = _DRAWN.get(episode.onset.forecaster, episode.onset.forecaster)
        parts.append(f"{drawn} is drawn because {episode.onset.reason}")
    return "; ".join(parts) + "."


def _rare(rarity: Rarity) -> str:
    if rarity.days_since is None:
        return f"nothing as far off in the {rarity.days} days before"
    ago = f"{rarity.days_since:.0f} days" if rarity.days_since >= 2 else f"{rarity.days_since * 24:.0f} hours"
    return f"as far off on {rarity.rank - 1} of the {rarity.days} days before, last {ago} earlier"


def _expected(episode: Episode) -> str:
    """Return yhat, and the parts of Prophet's forecast that make a difference."""
    expected = f"expected {_number(episode.yhat)}"
    parts = episode.onset.parts if episode.onset is not None else {}
    if not parts:
        return expected
    trend = _number(parts["trend"])
    others = [f"{name} {value:+.3g}" for name, value in parts.items() if name != "trend" and value]
    return ", ".join([f"{expected}; at the start Prophet had trend {trend}", *others])


def _drifting(key: SeriesKey, episode: Episode, drift: Drift) -> str:
    """Say how much a day, since when, what is usual, and when it reaches its bound."""
    moved, beyond = ("risen", "above") if drift.per_day > 0.0 else ("fallen", "below")
    change, bar = abs(episode.actual - episode.yhat), episode.upper - episode.yhat
    pace, reached = _in_unit(abs(drift.per_day), key), _in_unit(episode.actual, key)
    text = f"has {moved} by {pace} a day since {_date(drift.since_unix_nano)}, to {reached}"
    text += f", {_number(change)} {beyond} the same day of the week before, where up to {_number(bar)} is usual"
    if drift.reaches_unix_nano is None:
        return text
    return f"{text}; at this pace it reaches its bound at {_moment(drift.reaches_unix_nano)}"


def _in_unit(value: float, key: SeriesKey) -> str:
    return " ".join(part for part in (_number(value), key.value_unit) if part not in {"", "1"}) or _number(value)


def _settled(episode: Episode) -> str:
    """Say from what to what the level has shifted, and from when on that is normal; nothing where it has not."""
    shift = episode.shift
    if shift is None:
        return ""
    levels = f"level shift from {_number(shift.before)} to {_number(shift.after)}"
    if episode.is_open:
        return f"; {levels}, the new normal from {_moment(shift.adopted_unix_nano)} on"
    return f"; {levels}, {episode.close_reason}"


def _distance(past: JudgedBatch) -> Float64:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(past.points.value - past.verdicts.yhat))


def _point(past: JudgedBatch, row: int) -> EvidencePoint:
    verdicts = past.verdicts
    return EvidencePoint(
        int(past.points.time_unix_nano[row]),
        float(past.points.value[row]),
        *(float(column[row]) for column in (verdicts.yhat, verdicts.lower, verdicts.upper, verdicts.score)),
    )


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "?"


def _date(unix_nano: int) -> str:
    return datetime.fromtimestamp(unix_nano / NANOS_PER_SECOND, UTC).strftime("%Y-%m-%d")


def _moment(unix_nano: int) -> str:
    return datetime.fromtimestamp(unix_nano / NANOS_PER_SECOND, UTC).strftime("%Y-%m-%d %H:%M UTC")
