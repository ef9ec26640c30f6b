"""Keep to alert budgets: once a day find, from the verdicts of two weeks, what each has to raise the threshold by."""

import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import numpy as np

from collector_processor.clock import DAY, Clock
from collector_processor.detect.rehearse import Past, budget_factor
from collector_processor.errors import ForebandError
from collector_processor.policy import Policies
from collector_processor.policy.budget import BUDGETS_BLOB, BudgetLog
from collector_processor.store.base import SeriesReader
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.points import Int32
from collector_processor.telemetry.rule import NO_COMPANION

log = logging.getLogger(__name__)

LOOK_BACK = 14 * DAY
EVERY_SECONDS = 86_400.0

_SERIES_AT_ONCE = 200


class BudgetKeeper:
    """A thread that finds factors once a day, and when policies change, and hands them to `apply`."""

    def __init__(
        self, directory: Path, policies: Policies, clock: Clock, apply: Callable[[Mapping[str, float]], None]
    ) -> None:
        self._directory = directory
        self._policies = policies
        self._clock = clock
        self._apply = apply
        self._stop, self._woken = Event(), Event()
        self._thread = Thread(target=self._run, name="budgets", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def take(self, policies: Policies) -> None:
        """Keep to the budgets of these policies from now on."""
        self._policies = policies
        self._woken.set()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._woken.clear()
            if self._stop.is_set():
                return
            if self._policies.budgets:
                self._look()
            self._woken.wait(EVERY_SECONDS)

    def _look(self) -> None:
        try:
            with closing(open_reader(self._directory)) as reader:
                self._apply(found_factors(reader, self._policies, self._clock.now_unix_nano()))
        except ForebandError as error:
            log.warning("alert budgets could not be looked after, will try again tomorrow: %s", error)


def found_factors(reader: SeriesReader, policies: Policies, now: int) -> dict[str, float]:
    """Return, by the name of each budget, the factor of the threshold that would have kept to it in the last two weeks.

    Raises:
        StoreError: if the store can't be read.
    """
    given = BudgetLog.from_bytes(reader.blob(BUDGETS_BLOB))
    members: dict[str, list[int]] = {budget.name: [] for budget in policies.budgets}
    keys = dict(reader.catalog())
    for series, key in keys.items():
        budget = policies.budget_of(key) if key.statistic.is_modelled else None
        if budget is not None:
            members[budget.name].append(series)
    first = dict(zip(*(column.tolist() for column in reader.first_times()), strict=True))
    factors = {}
    for budget in policies.budgets:
        chosen = members[budget.name]
        pasts = _pasts(reader, np.array(chosen, np.int32), now, given, budget.name)
        rules = policies.rules([keys[series] for series in chosen], lambda _: NO_COMPANION)
        since = [first.get(series, 0) + DAY for series in chosen]
        factors[budget.name] = budget_factor(pasts, budget.alarms, rules, since)
    return factors


def pasts_of(reader: SeriesReader, series: Int32, start: int, end: int) -> list[Past]:
    """Return the scored points of each of `series` (ascending) in `[start, end)`."""
    pasts = []
    for at in range(0, series.size, _SERIES_AT_ONCE):
        part = series[at : at + _SERIES_AT_ONCE]
        judged = reader.read_judged(part, start, end)
        scored = np.isfinite(judged.verdicts.score)
        points, verdicts = judged.points.take(scored), judged.verdicts.take(scored)
        first, stop = (np.searchsorted(points.series, part, side) for side in ("left", "right"))
        pasts += [
            Past(points.time_unix_nano[a:b], verdicts.score[a:b], points.value[a:b], verdicts.yhat[a:b])
            for a, b in zip(first.tolist(), stop.tolist(), strict=True)
        ]
    return pasts


def _pasts(reader: SeriesReader, series: Int32, now: int, given: BudgetLog, name: str) -> list[Past]:
    """Return scores as they would have been without the budget's factor."""
    return [
        replace(past, score=past.score * given.factors(name, past.time_unix_nano))
        for past in pasts_of(reader, series, now - LOOK_BACK, now + 1)
    ]
