"""When series will reach their bounds: looked at when somebody asks, and remembered for an hour or until a refit.

At most 100 series are looked at for one question, fewer where they have so many points that a quarter of what it may
read is used up. The others follow with the next questions: an alert rule that asks every minute has seen 6,000 series
within the hour.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from collector_processor.clock import DAY, HOUR, NANOS_PER_SECOND
from collector_processor.forecast.capacity import LEAST_DAYS, QUANTILES, STEP, Bound, Breach, Trend, breach, hourly
from collector_processor.policy import PoliciesInForce
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.points import Float64
from collector_processor.telemetry.titles import title
from grafana_datasource.backend import Session
from grafana_datasource.directory import Entry
from grafana_datasource.figures import Figure, Figures
from grafana_datasource.matching import Matcher
from grafana_datasource.promql.vector import NAME
from grafana_datasource.query import to_ms
from grafana_datasource.selection import select
from grafana_datasource.view import LIVE_FOR

HELP = {
    "foreband_time_to_breach_seconds": "Seconds until a tenth, half or nine tenths of all paths reach the bound.",
    "foreband_breach_probability": "How likely a series reaches its bound within the horizon.",
}
_MOST_REMEMBERED = 500_000  # series come and go
AT_ONCE = 100
LIKELY = 0.5

_ADDED = {NAME, "quantile", "horizon"}
_ERROR_DAYS = 28
_PROPHET = FORECASTS.index("prophet")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found for one series at `now`; no `breach` where its model or its errors do not suffice."""

    version: int
    now: int
    bound: Bound
    breach: Breach | None

    def since(self, now: int) -> Breach | None:
        """Return the breach as seen from a later time."""
        if self.breach is None:
            return None
        elapsed = (now - self.now) / NANOS_PER_SECOND
        return replace(self.breach, seconds=np.maximum(self.breach.seconds - elapsed, 0.0))


class Capacity:
    """Knows the newest outcome of every series that was asked for."""

    def __init__(self, policies: PoliciesInForce, at_once: int = AT_ONCE) -> None:
        self._policies = policies
        self._asked = policies.now
        self._at_once = at_once
        self._known: dict[str, Outcome] = {}  # by stable id
        self._bounds: dict[str, Bound | None] = {}
        self.figures = Figures(HELP, self._read)

    def found(self, session: Session, entries: Sequence[Entry]) -> list[tuple[Entry, Bound, Breach]]:
        """Return what is known of live series that have a bound, after looking at some that are due."""
        found, left, enough = [], self._at_once, session.limits.samples_read // 4
        for entry, version in self._bounded(session, entries):
            known, bound = self._known.get(entry.stable_id), self._bound(entry)
            is_due = known is None or known.version != version or session.now - known.now >= HOUR
            if is_due and bound is not None and left > 0 and session.budget.samples < enough:
                known = self._known[entry.stable_id] = Outcome(
                    version, session.now, bound, _look(session, entry, bound)
                )
                left -= 1
            if known is not None and (seen := known.since(session.now)) is not None:
                found.append((entry, known.bound, seen))
        return found

    def annotations(self, session: Session, entries: Sequence[Entry], start: int, end: int) -> list[dict[str, Any]]:
        """Return breaches that are more likely than not, where half of all paths have them in `[start, end)`."""
        return [
            _annotation(session.now, entry, bound, seen)
            for entry, bound, seen in self.found(session, entries)
            if seen.probability >= LIKELY and start <= session.now + seen.seconds[1] * NANOS_PER_SECOND < end
        ]

    def _bounded(self, session: Session, entries: Sequence[Entry]) -> list[tuple[Entry, int]]:
        """Return live series that have a bound and a model, and the version of that."""
        series = np.array([entry.series for entry in entries], np.int32)
        version = session.outlook.fleet.versions(series)
        is_live = (version > 0) & (session.outlook.last_time[series] > session.now - LIVE_FOR)
        return [
            (entries[i], int(version[i]))
            for i in np.flatnonzero(is_live).tolist()
            if self._bound(entries[i]) is not None
        ]

    def _bound(self, entry: Entry) -> Bound | None:
        policies = self._policies.now
        if policies is not self._asked or len(self._bounds) >= _MOST_REMEMBERED:
            self._asked, self._bounds, self._known = policies, {}, {}
        bounds = self._bounds
        if entry.stable_id not in bounds:
            bounds[entry.stable_id] = policies.bound(entry.key)
        return bounds[entry.stable_id]

    def _read(self, session: Session, matchers: Sequence[Matcher]) -> list[Figure]:
        wanted = [Matcher(NAME, "=", "foreband_actual"), *(m for m in matchers if m.label not in _ADDED)]
        entries = [entry for picked in select(session.outlook.directory, wanted) for entry in picked.entries]
        figures = []
        for entry, bound, seen in self.found(session, entries):
            horizon = {"horizon": f"{bound.horizon / DAY:g}d"}
            figures.append(Figure("foreband_breach_probability", {**entry.own, **horizon}, seen.probability))
            figures += [
                Figure("foreband_time_to_breach_seconds", {**entry.own, "quantile": f"{q:g}"}, seconds)
                for q, seconds in zip(QUANTILES, seen.seconds.tolist(), strict=True)
                if np.isfinite(seconds)
            ]
        return figures


def capacity_row(bound: Bound, seen: Breach) -> dict[str, Any]:
    """Return what is told of one series."""
    times = {f"p{100 * q:.0f}_seconds": s for q, s in zip(QUANTILES, seen.seconds.tolist(), strict=True)}
    return {
        "limit": bound.limit,
        "direction": "up" if bound.side > 0 else "down",
        "horizon_seconds": seen.horizon / NANOS_PER_SECOND,
        "probability": seen.probability,
        **times,
    }


def _look(session: Session, entry: Entry, bound: Bound) -> Breach | None:
    """Look ahead from the last point of a series, as far as its Prophet holds."""
    fleet, start = session.outlook.fleet, int(session.outlook.last_time[entry.series]) + 1
    series = np.array([entry.series], np.int32)
    judged = session.reader.read_judged(series, start - _ERROR_DAYS * DAY, start)
    session.budget.spend(len(judged.points))
    missed: Float64 = judged.points.value - judged.verdicts.yhat
    error = hourly(judged.points.time_unix_nano, missed, start, _ERROR_DAYS)
    times = start + STEP // 2 + np.arange(bound.horizon // STEP) * STEP
    yhat = fleet.forecasts(np.repeat(series, times.size), times)[:, _PROPHET]
    held = int(np.isnan(yhat).argmax()) if np.isnan(yhat).any() else yhat.size
    if not held or len(error) < LEAST_DAYS:
        return None
    trend = Trend(*(float(fleet.fact(name, series)[0]) for name in ("changepoint_rate", "mean_delta")))
    return breach(yhat[:held], error, trend, bound)


def _annotation(now: int, entry: Entry, bound: Bound, seen: Breach) -> dict[str, Any]:
    ahead = np.where(np.isnan(seen.seconds), seen.horizon / NANOS_PER_SECOND, seen.seconds)
    first, half, last = (ahead * NANOS_PER_SECOND).astype(np.int64).tolist()
    return {
        "id": f"breach-{entry.stable_id}",
        "time": to_ms(now + first),
        "timeEnd": to_ms(now + last),
        "title": f"{entry.key.service}: {title(entry.key)} will reach {bound.limit:.4g}",
        "text": f"half of its likely courses have in {half / DAY:.3g} days; {seen.probability:.0%} within the horizon",
        "tags": "capacity,breach",
    }
