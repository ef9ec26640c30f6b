"""What other threads ask of the state of all series, and what they have changed in it: models, budgets, answers, marks.

What changes anything, or copies more than one reference, is called on the thread that owns the state, between two
micro-batches (`Consumer.call`); what is marked so may be asked by any.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import orjson

from collector_processor.clock import HOUR
from collector_processor.detect.canary import Subjects
from collector_processor.detect.seed import Seed
from collector_processor.forecast.fleet import FleetModel
from collector_processor.pipeline.feedback import FeedbackDesk
from collector_processor.pipeline.overview import Overview
from collector_processor.pipeline.reports import Reports
from collector_processor.pipeline.saving import names_of
from collector_processor.pipeline.state import PipelineState
from collector_processor.policy.budget import BUDGETS_BLOB
from collector_processor.store.base import Commit
from collector_processor.telemetry.band import BandStates
from collector_processor.telemetry.feedback import Feedback, Said
from collector_processor.telemetry.incident import Incident
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Int32
from collector_processor.telemetry.proof import PROOF_BLOB, Proof
from collector_processor.telemetry.series import SeriesKey

_SUBJECTS_AMONG = 4_096


class SeriesDesk:
    """Where questions about all series are answered, and commands that concern some of them carried out."""

    def __init__(self, state: PipelineState) -> None:
        self._state = state
        self._feedback = FeedbackDesk(state.writer)
        self._next_subject = 0

    @property
    def fleet(self) -> FleetModel:
        """The models in force; for any thread."""
        return self._state.fleet

    @property
    def keys(self) -> Sequence[SeriesKey]:
        """All series keys, indexed by dense id; for any thread."""
        return self._state.catalog.keys

    @property
    def saved_bands(self) -> BandStates:
        """The band states of all series as they were saved last, not to be changed; for any thread."""
        return self._state.saved_bands

    @property
    def noticed(self) -> Mapping[str, int]:
        """How often what was taken was odd, by kind; for any thread."""
        return self._state.noticed

    @property
    def forgotten(self) -> int:
        """How many series were forgotten; for any thread."""
        return self._state.forgotten

    @property
    def open_episodes(self) -> int:
        """How many episodes are open; for any thread."""
        return self._state.detector.open_episodes

    def shortage(self) -> str:
        """Return why the store takes nothing now, empty where it does; for any thread."""
        return self._state.writer.shortage() or self._state.setback.text

    def discarded(self) -> dict[str, int]:
        """Return how many pieces of saved state were of another version or damaged and are made anew, by kind.

        For any thread.
        """
        state = self._state
        return {
            "bands": state.writer.discarded_bands,
            "detector": state.unread,
            "models": state.fleet.unreadable,
        }

    def overview(self) -> Overview:
        """Return what whoever decides on fits needs to know."""
        state = self._state
        return state.times.overview(len(state.catalog), state.saved_bands, state.detector.marks())

    def mark(self, series: Int32, reason: npt.NDArray[np.uint8]) -> None:
        """Note why series `(n,)` are not sound, a Reason each; it is saved and shown within a minute."""
        self._state.detector.mark(series, reason)

    def publish(self, fleet: FleetModel, records: Sequence[ModelRecord], seeds: Sequence[tuple[int, Seed]]) -> None:
        """Commit models, swap the fleet model, and give seeds to series that have no calibration yet.

        `fleet` is this desk's with `records` in it, made by whoever has time for that. Only state that a seed or a
        first model changed is saved with them; the rest follows within a minute.
        """
        state, detector = self._state, self._state.detector
        state.is_in_step = False
        seeded = np.array([series for series, _ in seeds], np.int32)
        detector.adopt(seeded, [seed for _, seed in seeds], fleet.winners(seeded))
        series = np.array([record.series for record in records], np.int32)
        detector.scale(series, fleet.fact("std", series))
        fresh = series[state.fleet.versions(series) == 0]
        blobs = detector.save(names_of(seeded, detector)) if seeded.size else {}
        bands = state.band_pieces(names_of(np.concatenate([seeded, fresh]), detector))
        state.writer.commit(Commit(models=records, bands=bands, blobs=blobs))
        state.fleet, state.is_in_step = fleet, True

    def keep_budgets(self, factors: Mapping[str, float], now: int) -> None:
        """Multiply the thresholds of policies with a budget from now on, by the names of their budgets."""
        log = self._state.budget_log.then(now, factors)
        self._state.writer.commit(Commit(blobs={BUDGETS_BLOB: log.to_bytes()}))
        self._state.keep_budgets(log, now)

    def answer(self, said: Said, now: int) -> Feedback:
        """Take a person's answer; the next point is judged by it.

        Raises:
            PermanentError: if it is about nothing that is known.
        """
        return self._feedback.take(said, self._state.detector, now)

    def take_back(self, feedback_id: str, by: str, now: int) -> Feedback:
        """Let an answer count no more.

        Raises:
            PermanentError: if there is none of this id that counts.
        """
        return self._feedback.take_back(feedback_id, by, self._state.detector, now)

    def subjects(self, n: int, now: int) -> Subjects:
        """Return shadows of at most `n` series that can be flagged now, out of the next 4,096 ids."""
        detector, fleet = self._state.detector, self._state.fleet
        size = len(detector)
        first = self._next_subject if self._next_subject < size else 0
        end = min(first + _SUBJECTS_AMONG, size)
        ids = np.arange(first, end, dtype=np.int32)
        ids = ids[detector.is_judging(first, end, now - HOUR) & (fleet.versions(ids) > 0)]
        self._next_subject = end if ids.size <= n else int(ids[n])
        series = ids[:n]
        return Subjects(series, detector.shadow(series), fleet.winners(series), fleet.forecasts, now)

    def keep_proof(self, proof: Proof) -> None:
        """Make the newest proof durable."""
        self._state.writer.commit(Commit(blobs={PROOF_BLOB: orjson.dumps(proof.fields())}))

    @property
    def reports(self) -> Reports:
        """What the fast path left for whoever looks for incidents; for one thread, any."""
        return self._state.reports

    def keep_incidents(self, incidents: Sequence[Incident]) -> None:
        """Make incidents durable."""
        self._state.writer.commit(Commit(incidents=incidents))

    def save_memory(self, *, takes_new_series: bool) -> None:
        """Forget what can be found again; take new series, or none, from now on."""
        state = self._state
        state.takes_new_series = state.catalog.takes_new = takes_new_series
        state.catalog.forget_aliases()
