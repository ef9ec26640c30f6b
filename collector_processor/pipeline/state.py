"""All that is known of all series in memory: made from what is durable, and made anew from it when a commit failed."""

from collections.abc import Sequence

import numpy as np

from collector_processor.errors import StoreError
from collector_processor.forecast.fleet import FleetModel
from collector_processor.otlp.decode import parse_attributes, parse_resource, parse_scope
from collector_processor.pipeline.feedback import FeedbackDesk
from collector_processor.pipeline.onsets import Onsets
from collector_processor.pipeline.outgoing import Outgoing
from collector_processor.pipeline.overview import SeriesTimes
from collector_processor.pipeline.receipts import Receipts
from collector_processor.pipeline.reports import Reports
from collector_processor.pipeline.saving import SavedBands, load_detector, names_of, saved_blobs
from collector_processor.pipeline.setback import Setback
from collector_processor.pipeline.settings import PipelineSettings
from collector_processor.policy.budget import BUDGETS_BLOB, BudgetLog
from collector_processor.signals.catalog import Catalog
from collector_processor.signals.logs import LogSignals
from collector_processor.signals.metrics import MetricSignals
from collector_processor.signals.pace import piece_names
from collector_processor.signals.spans import SpanSignals
from collector_processor.store.base import Commit, SeriesWriter, models_in_turn
from collector_processor.telemetry.band import BandStates, unknown_bands
from collector_processor.telemetry.points import Int32, PointBatch
from collector_processor.telemetry.service_graph import GRAPH_BLOB, ServiceGraph

NOTICED = (
    "duplicate_points",
    "changed_points",
    "overlapping_writers",
    "bad_exemplars",
    "mixed_metrics",
    "bare_histograms",
    "unjudged_points",
)
"""What is taken and yet odd: sent again, sent again with another value, two writers of one counter, exemplars dropped
for their ids, metrics of two kinds or units, histograms past `series.buckets`, more points of a series at once than
are judged."""


class PipelineState:
    """The parts that the stages work on; most exist from the first `reload` on."""

    def __init__(self, writer: SeriesWriter, settings: PipelineSettings) -> None:
        self.writer = writer
        self.settings = settings
        self.setback = Setback()
        self.is_in_step = False
        """Whether memory is what the store says; it is not while a batch is under way."""
        self.takes_new_series = True
        self.noticed = dict.fromkeys(NOTICED, 0)
        self.forgotten = 0  # series
        self.reports = Reports()
        self.fleet = FleetModel.empty()
        self.times = SeriesTimes(np.empty(0, np.int32), np.empty(0, np.int64), PointBatch.empty())
        self._bands = SavedBands(unknown_bands(0))

    @property
    def saved_bands(self) -> BandStates:
        """The band states of all series as they were saved last; not to be changed."""
        return self._bands.states

    def reload(self, now: int) -> None:
        """Rebuild everything from the store.

        Raises:
            StoreError: if it cannot be read; requests are refused until a later reload succeeds.
        """
        self.is_in_step = False
        writer, settings = self.writer, self.settings
        last = writer.last_points()
        self._reload_catalog()
        self._reload_signals(last)
        fleet = FleetModel.empty()
        for records in models_in_turn(writer):
            fleet = fleet.with_models(records)
        self.fleet = fleet  # as a whole: others draw from it
        self.detector, self.unread = load_detector(writer, settings.policies, len(self.catalog), now)
        made, self.times = self.times.made, SeriesTimes(*writer.first_times(), last)
        self._added = self._ruled = 0
        settings.policies.forget_series()
        self.keep_budgets(BudgetLog.from_bytes(writer.blob(BUDGETS_BLOB)), now)
        self.times.remember(made)
        self.onsets = Onsets(writer.open_episodes())
        FeedbackDesk(writer).tune(self.detector)
        self.outgoing = Outgoing(self.catalog, settings.destinations, settings.additions)
        self._bands = SavedBands(writer.bands())
        self.receipts = Receipts.of_store(writer, now)
        self.count_idle(now)
        self.is_in_step = True

    def recover(self, now: int) -> None:
        """Rebuild everything if a failed commit left something in memory that never happened.

        Raises:
            StoreError: as `reload`.
        """
        if not self.is_in_step:
            self.reload(now)

    def configure(self, settings: PipelineSettings, now: int) -> None:
        """Rebuild everything by other settings.

        Raises:
            StoreError: as `reload`; the former settings hold.
        """
        former, self.settings = self.settings, settings
        try:
            self.reload(now)
        except StoreError:
            self.settings = former
            raise

    def forget(self, series: Int32, now: int) -> None:
        """Forget all that is known of series, in the store and here; their ids are free again.

        What is not saved of the others is lost.

        Raises:
            StoreError: if nothing was forgotten, or as `reload`.
        """
        self.is_in_step = False
        self.detector.forget(series)
        self.metrics.forget(series)
        names = names_of(series, self.detector)
        blobs = {**self.detector.save(names), **self.metrics.take_held()}
        self.writer.commit(Commit(forgotten=series, bands=self.band_pieces(names), blobs=blobs))
        self.forgotten += series.size
        self.reload(now)

    def take_in_new_series(self, now: int) -> None:
        """Resolve the policies of series made since the last call."""
        made, keys = self.catalog.made, self.catalog.keys
        if self._added < len(made):
            added = made[self._added :]
            self.times.add(np.array(added, np.int32), [keys[series] for series in added], now)
        if self._ruled < len(made):
            ruled = made[self._ruled :]
            rules = self.settings.policies.rules([keys[series] for series in ruled], self.catalog.find)
            self.detector.rule(np.array(ruled, np.int32), rules)
        self._added = self._ruled = len(made)

    def keep_budgets(self, log: BudgetLog, now: int) -> None:
        """Resolve the policies of all series again, with the newest factors of a log."""
        self.budget_log = log
        self.settings.policies.budget_factors = log.newest
        self._ruled = 0
        self.take_in_new_series(now)

    def count_idle(self, now: int) -> None:
        """Let the catalog know how many series take no place."""
        long_ago = now - self.settings.idle_nano
        self.catalog.idle = self.times.silent(long_ago, long_ago).size

    def save(self, names: Sequence[str]) -> None:
        """Save the state of the series of these blobs.

        Raises:
            StoreError: if nothing was written; then what is in memory counts as saved, and has to be read anew.
        """
        self.is_in_step = False
        self.writer.commit(Commit(bands=self.band_pieces(names), blobs=self.detector.save(names)))
        self.is_in_step = True

    def band_pieces(self, names: Sequence[str]) -> dict[int, BandStates]:
        """Return the band states that are saved with these blobs, by first series; they count as saved."""
        return self._bands.pieces(names, self.detector, self.times.is_modelled(len(self.detector)))

    def _reload_catalog(self) -> None:
        settings = self.settings
        self.catalog = Catalog(
            parse_resource,
            parse_scope,
            parse_attributes,
            settings.series_limit,
            identity_bytes=settings.identity_bytes,
        )
        self.catalog.takes_new = self.takes_new_series
        self.catalog.restore(self.writer.catalog())

    def _reload_signals(self, last: PointBatch) -> None:
        """Rebuild what is open of each signal; `last` are the newest points of all series."""
        catalog, writer, settings = self.catalog, self.writer, self.settings
        own = f"{settings.additions.metric_prefix}."
        self.metrics = MetricSignals(catalog, settings.limits, own, settings.buckets)
        self.metrics.restore(last, saved_blobs(writer, piece_names(len(catalog))))
        self.spans = SpanSignals(
            catalog,
            parse_resource,
            settings.limits,
            settings.windows,
            settings.span_names_per_service,
            has_templates=settings.has_span_name_templates,
        )
        self.logs = LogSignals(catalog, parse_resource, settings.limits, settings.windows)
        events = writer.events()
        self.spans.restore(events, last)
        self.spans.graph.restore(ServiceGraph.from_bytes(writer.blob(GRAPH_BLOB)))
        self.logs.restore(events, last)
