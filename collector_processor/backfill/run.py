"""The back-fill itself: window after window, oldest first, so that it can be resumed and every series stays in order.

It sends over OTLP to a running Foreband rather than writing to its store: one code path decides what is admitted, and
a Foreband that is busy slows the back-fill down instead of losing it. What was sent twice after an interruption is
the same points again, which change nothing.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from collector_processor.backfill.otlp import Targets, requests
from collector_processor.backfill.prometheus import Family, PrometheusSource
from collector_processor.errors import ForebandError
from collector_processor.ledger import Signal
from collector_processor.otlp.endpoint import Downstream, Fate

WINDOW_SECONDS = 6 * 3600
_PATIENCE_SECONDS = 300.0
_LONGEST_WAIT = 30.0

OnProgress = Callable[[int, int], None]
"""Told after each family of a window: seconds of the past that are done in all, points sent so far."""


class BackfillError(ForebandError):
    """It cannot go on; what was done is on record, and the same command goes on from there."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is brought over: Unix seconds `[start, end)`, both multiples of `step`."""

    url: str
    matches: tuple[str, ...]
    start: int
    end: int
    step: int


@dataclass(slots=True)
class Report:
    """What became of it."""

    families: int = 0
    points: int = 0
    rejected: int = 0
    reasons: str = ""


class Cursor:
    """A small file that says how far a plan has come; it is gone when the plan is done."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def resume(self, plan: Plan) -> tuple[Plan, int]:
        """Return the plan on record and where it stands, or the given one from its start.

        Raises:
            BackfillError: if another plan is on record.
        """
        try:
            found = json.loads(self._path.read_text())
            known, done = Plan(**found["plan"] | {"matches": tuple(found["plan"]["matches"])}), int(found["done"])
        except FileNotFoundError:
            return plan, plan.start
        except (ValueError, KeyError, TypeError) as error:
            raise BackfillError(f"{self._path} is not the record of a back-fill: remove it to start anew") from error
        if (known.url, known.matches, known.step) != (plan.url, plan.matches, plan.step):
            raise BackfillError(
                f"{self._path} is the record of another back-fill, of {known.url}: finish it, or remove the file"
            )
        return known, done

    def save(self, plan: Plan, done: int) -> None:
        """Put on record that all before `done` was sent."""
        partial = self._path.with_name(f"{self._path.name}.new")
        partial.write_text(json.dumps({"plan": asdict(plan), "done": done}))
        partial.replace(self._path)

    def forget(self) -> None:
        """Remove the record."""
        self._path.unlink(missing_ok=True)


def run_backfill(
    source: PrometheusSource, downstream: Downstream, plan: Plan, cursor: Cursor, on_progress: OnProgress
) -> Report:
    """Send a plan, from where it stands.

    Raises:
        SourceError, BackfillError: if it cannot go on.
    """
    plan, done = cursor.resume(plan)
    families = source.families(plan.matches, plan.start, plan.end)
    targets = source.target_info(plan.end)
    report = Report(families=len(families))
    for start in range(done, plan.end, WINDOW_SECONDS):
        end = min(start + WINDOW_SECONDS, plan.end)
        for number, family in enumerate(families, 1):
            _send_family(source, downstream, family, (start, end, plan.step), targets, report)
            on_progress(start - plan.start + (end - start) * number // len(families), report.points)
        cursor.save(plan, end)
    cursor.forget()
    return report


def _send_family(
    source: PrometheusSource,
    downstream: Downstream,
    family: Family,
    window: tuple[int, int, int],
    targets: Targets,
    report: Report,
) -> None:
    for series in source.read(family, *window):
        for payload, points in requests(family, series, targets):
            rejected, reasons = _deliver(downstream, payload)
            report.points += points
            report.rejected += rejected
            report.reasons = reasons or report.reasons


def _deliver(downstream: Downstream, payload: bytes) -> tuple[int, str]:
    """Send one request, as often as it takes; return how many points were not taken, and why."""
    deadline, wait = time.monotonic() + _PATIENCE_SECONDS, 1.0
    while True:
        reply = downstream.send(Signal.METRICS, payload)
        if reply.fate is Fate.TAKEN:
            return reply.rejected, reply.details
        if reply.fate is Fate.REFUSED or time.monotonic() > deadline:
            raise BackfillError(f"Foreband did not take it: {reply.code} {reply.details}")
        time.sleep(min(reply.retry_after or wait, _LONGEST_WAIT))
        wait = min(wait * 1.5, _LONGEST_WAIT)


def aligned(start: float, end: float, step: int) -> tuple[int, int]:
    """Return the bounds as whole steps within them."""
    return -int(-start // step) * step, int(end // step) * step


def matches_of(given: Sequence[str]) -> tuple[str, ...]:
    """Return the selectors, or the one that selects everything."""
    return tuple(given) or ('{__name__!=""}',)
