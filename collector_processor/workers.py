"""What works beside the consumer: the trainer, the canaries, the keepers of alert budgets and incidents.

Each has a thread of its own. What they need of the state, and what they change in it, is done on the consumer's thread.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from collector_processor.budgets import BudgetKeeper
from collector_processor.canaries import Canaries
from collector_processor.clock import Clock
from collector_processor.config import Config
from collector_processor.consumer import Consumer
from collector_processor.detect.canary import Subjects
from collector_processor.detect.seed import Seed
from collector_processor.incident_keeper import IncidentKeeper, Sources
from collector_processor.pipeline import SeriesDesk
from collector_processor.pipeline.overview import Overview
from collector_processor.policy import Policies, PoliciesInForce
from collector_processor.room_settings import incident_settings, training_settings
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.incident import Incident
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Int32
from collector_processor.telemetry.proof import Proof
from collector_processor.training import Trainer

T = TypeVar("T")


class Worker(Protocol):
    """Something with a thread of its own; `start` once, `stop` once."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Finish what was begun, and end."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Makes each of them; whoever starts one stops it."""

    config: Config
    consumer: Consumer
    desk: SeriesDesk
    clock: Clock

    def trainer(self, policies: PoliciesInForce) -> Trainer:
        """Return the trainer, which fits models and backtests them."""
        desk = self.desk

        def publish(records: Sequence[ModelRecord], seeds: Sequence[tuple[int, Seed]]) -> None:
            fleet = desk.fleet.with_models(records)  # here, because it takes its time
            self._wait(lambda _now: desk.publish(fleet, records, seeds))

        def overview() -> Overview:
            return self._wait(lambda _now: desk.overview())

        def mark(series: Int32, reason: npt.NDArray[np.uint8]) -> None:
            self._wait(lambda _now: desk.mark(series, reason))

        return Trainer(
            training_settings(self.config),
            self.config.store.directory,
            overview,
            publish,
            mark,
            self.clock,
            settings_of=lambda series: policies.now.forecast(desk.keys[series]),
        )

    def canaries(self) -> Canaries:
        """Return the canaries, which prove that detection still works."""

        def subjects(n: int) -> Subjects:
            return self._wait(lambda now: self.desk.subjects(n, now))

        def keep(proof: Proof) -> None:
            self._wait(lambda _now: self.desk.keep_proof(proof))

        return Canaries(subjects, partial(open_reader, self.config.store.directory), keep)

    def budgets(self) -> BudgetKeeper:
        """Return the keeper of alert budgets."""

        def apply(factors: Mapping[str, float]) -> None:
            self._wait(lambda now: self.desk.keep_budgets(factors, now))

        policies = Policies(self.config.policies, self.config.detect.threshold)
        return BudgetKeeper(self.config.store.directory, policies, self.clock, apply)

    def incidents(self) -> IncidentKeeper:
        """Return the keeper of incidents."""
        desk, reports = self.desk, self.desk.reports

        def keep(incidents: Sequence[Incident]) -> None:
            self._wait(lambda _now: desk.keep_incidents(incidents))

        sources = Sources(
            reports.take_episodes, reports.take_strains, lambda: desk.keys, lambda: desk.saved_bands, keep
        )
        return IncidentKeeper(self.config.store.directory, sources, self.clock, incident_settings(self.config))

    def _wait(self, ask: Callable[[int], T]) -> T:
        """Have the consumer's thread do something, and wait for what comes of it."""
        return self.consumer.call(ask).result()
