"""Hold alerts against labelled events, by when they start: an endless alert finds at most what it began with.

An event is found if an alert starts in its window, from two steps before to three after an exact label. An alert that
starts in no window is a false alarm; a second one in the same window is a fragment, not another hit.
"""

from dataclasses import dataclass

import numpy as np

from collector_processor.clock import DAY, MINUTE
from collector_processor.evaluation.dataset import Event, LabelledSeries
from collector_processor.telemetry.points import Bool, Float64, Int64

_GAP_STEPS = 3
_GAP_TIME = 30 * MINUTE
_WEEK = 7 * DAY


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """What one detector did on one series; all of it after the warm-up.

    `delay` `(found,)` is nanoseconds from an event's start to the first alert in its window, 0 where that came early;
    `fragments` how many alerts started in the windows of found events. `normal` points lie in no window.
    """

    events: int
    found: int
    false_alarms: int
    fragments: int
    delay: Int64
    step: int
    weeks: float
    normal: int
    normal_in_alarm: int


def count(series: LabelledSeries, time_unix_nano: Int64, alerts: Int64) -> Counts:
    """Count hits and false alarms of alerts `(a, 2)`, starts and ends, on a series with these points."""
    scored_events = [e for e in series.events if e.end_unix_nano >= series.eval_from]
    merged = merge(alerts, series.step)
    start = merged[merged[:, 0] >= series.eval_from, 0]
    hits = [start[(start >= e.first) & (start <= e.last)] for e in scored_events]
    found = [(e, hit) for e, hit in zip(scored_events, hits, strict=True) if hit.size]
    scored = time_unix_nano[time_unix_nano >= series.eval_from]
    normal = scored[~within_events(scored, series.events)]
    return Counts(
        events=len(scored_events),
        found=len(found),
        false_alarms=int(np.count_nonzero(~within_events(start, series.events))),
        fragments=sum(hit.size for _, hit in found),
        delay=np.array([max(0, int(hit[0]) - e.start_unix_nano) for e, hit in found], np.int64),
        step=series.step,
        weeks=float((scored[-1] - scored[0]) / _WEEK) if scored.size else 0.0,
        normal=normal.size,
        normal_in_alarm=int(np.count_nonzero(_within(normal, merged))),
    )


def merge(alerts: Int64, step: int) -> Int64:
    """Join alerts `(a, 2)` over gaps of up to three steps, or half an hour."""
    if not len(alerts):
        return alerts.reshape(0, 2)
    gap = max(_GAP_STEPS * step, _GAP_TIME)
    end = np.maximum.accumulate(alerts[:, 1])
    begins = np.concatenate([[True], alerts[1:, 0] - end[:-1] > gap])
    last = np.append(np.flatnonzero(begins)[1:], len(alerts)) - 1
    return np.stack([alerts[begins, 0], end[last]], axis=1)


def alerts_of(time_unix_nano: Int64, flagged: Bool) -> Int64:
    """Return flagged points as alerts `(a, 2)` of no length, for `merge` to join."""
    at = time_unix_nano[flagged]
    return np.stack([at, at], axis=1)


def within_events(time_unix_nano: Int64, events: tuple[Event, ...]) -> Bool:
    """Tell which times lie in the window of an event."""
    return _within(time_unix_nano, np.array([(e.first, e.last) for e in events], np.int64).reshape(-1, 2))


def delays_in_steps(counts: Counts) -> Float64:
    """Return how many steps each found event took."""
    return np.asarray(counts.delay / counts.step, np.float64)


def _within(time_unix_nano: Int64, spans: Int64) -> Bool:
    inside = np.zeros(time_unix_nano.size, np.bool_)
    for first, last in spans.tolist():
        inside |= (time_unix_nano >= first) & (time_unix_nano <= last)
    return inside
