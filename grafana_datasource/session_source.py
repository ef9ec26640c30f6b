"""Give PromQL the samples of one session: stored points as they are, derived metrics as views of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from collector_processor.errors import TooLargeError
from collector_processor.telemetry.points import Float64, Int32, Int64, is_stale
from grafana_datasource.backend import Session
from grafana_datasource.directory import Entry
from grafana_datasource.families import STORED
from grafana_datasource.figures import Figure, as_samples, as_vector, found
from grafana_datasource.matching import Matcher
from grafana_datasource.promql.moments import unix_seconds
from grafana_datasource.promql.samples import LOOKBACK, Samples, newest, selected
from grafana_datasource.promql.vector import NAME, Vector
from grafana_datasource.query import TimeRange
from grafana_datasource.selection import Picked, select
from grafana_datasource.series_names import legacy_metric
from grafana_datasource.unit_names import series_of
from grafana_datasource.view import aligned, sampled

_LATEST = 2**63 - 2
_BUCKET = "_bucket"


@dataclass(slots=True)
class SessionSource:
    """A `promql.source.Source` over one session.

    A stored sample stands for `lookback` nanoseconds. `derived` collects the series whose derived metrics were asked
    for, `buckets` histograms whose buckets were.
    """

    session: Session
    lookback: int = LOOKBACK
    derived: dict[int, Entry] = field(default_factory=dict)
    buckets: set[str] = field(default_factory=set)

    def instant(self, matchers: Sequence[Matcher], times: Int64) -> Vector:
        """See `Source.instant`."""
        picked = self._select(matchers)
        stored = selected(self._lookback(picked, times), times, self.lookback)
        now = as_vector(self._figures(matchers), times, self.session.now)
        return Vector.concat([*self._viewed(picked, times), now, stored], times.size)

    def moments(self, matchers: Sequence[Matcher], times: Int64) -> Vector:
        """See `Source.moments`."""
        picked = self._select(matchers)
        samples = self._lookback(picked, times)
        row, present = newest(samples, times, self.lookback)
        seconds = unix_seconds(samples.time)[row] if samples.time.size else np.zeros(row.shape)
        stored = Vector(samples.labels, seconds, present).compact()
        steps = unix_seconds(times)[np.newaxis]
        viewed = [
            Vector(part.labels, np.broadcast_to(steps, part.values.shape), part.present)
            for part in self._viewed(picked, times)
        ]
        return Vector.concat([*viewed, stored], times.size)

    def samples(self, matchers: Sequence[Matcher], start: int, end: int) -> Samples:
        """See `Source.samples`."""
        picked = self._select(matchers)
        span = TimeRange(max(0, start), min(end, _LATEST) + 1)
        figures = self._figures(matchers) if span.start <= self.session.now < span.end else []
        now = as_samples(figures, self.session.now)
        return Samples.concat([*self._sampled(picked, span), now, self._stored(picked, span)])

    def spend(self, samples: int) -> None:
        """See `Source.spend`."""
        self.session.budget.spend(samples)

    def _select(self, matchers: Sequence[Matcher]) -> list[Picked]:
        picked = select(self.session.outlook.directory, matchers)
        most = self.session.limits.selected_series
        if sum(len(group.entries) for group in picked) > most:
            raise TooLargeError(f"the selector matches more than {most} series: add a label matcher")
        if not picked:
            self._note_buckets(matchers)
        for group in picked:
            if group.family is not STORED:
                self.derived.update((entry.series, entry) for entry in group.entries)
        return picked

    def _note_buckets(self, matchers: Sequence[Matcher]) -> None:
        """Remember a histogram of which there are quantiles, where somebody asks for its buckets."""
        directory = self.session.outlook.directory
        for matcher in matchers:
            name = matcher.text.removesuffix(_BUCKET)
            if matcher.label != NAME or name == matcher.text:
                continue
            counted = [legacy_metric(entry.key.metric) for entry in series_of(directory, f"{name}_count")]
            self.buckets.update(own for own in (name, *counted) if f"{own}_p95" in directory.by_name)

    def _figures(self, matchers: Sequence[Matcher]) -> list[Figure]:
        return found(self.session.figures, self.session, matchers)

    def _lookback(self, picked: Sequence[Picked], times: Int64) -> Samples:
        return self._stored(picked, TimeRange(max(0, int(times[0]) - self.lookback), max(0, int(times[-1])) + 1))

    def _stored(self, picked: Sequence[Picked], span: TimeRange) -> Samples:
        """Read stored series, in order of their ids."""
        owners = {entry.series: (group, entry) for group in picked if group.family is STORED for entry in group.entries}
        if not owners:
            return Samples.empty()
        series = np.array(sorted(owners), np.int32)
        points = self.session.reader.read_points(series, span.start, span.end)
        self.spend(len(points))
        held = np.unique(points.series)
        bounds = np.searchsorted(points.series, np.append(held, series[-1] + 1))
        labels = [group.labels(entry) for group, entry in map(owners.__getitem__, held.tolist())]
        return Samples(labels, bounds, points.time_unix_nano, points.value, is_stale(points.value))

    def _viewed(self, picked: Sequence[Picked], times: Int64) -> list[Vector]:
        """Read derived metrics off views at the given times, NaN meaning that there is no sample."""
        groups = [group for group in picked if group.family is not STORED]
        if not groups or not times.size:
            return []
        session, vectors = self.session, []
        ahead = any(group.family.is_forecast for group in groups)
        members = [_ids(group) for group in groups]
        series = np.unique(np.concatenate(members))
        views = aligned(session.reader, session.outlook, series, times, session.now, session.budget, ahead=ahead)
        for view in views:
            for group, ids in zip(groups, members, strict=True):
                values = group.family.values(session.outlook, view)
                vectors.append(_of_group(group, ids, view.series, values))
        return vectors

    def _sampled(self, picked: Sequence[Picked], span: TimeRange) -> list[Samples]:
        """Read derived metrics at the times of the stored points, and after the last one at their usual spacing."""
        groups = [group for group in picked if group.family is not STORED]
        if not groups:
            return []
        session, samples = self.session, []
        entries = {entry.series: entry for group in groups for entry in group.entries}
        members = [(group, {entry.series for entry in group.entries}) for group in groups]
        series = np.array(sorted(entries), np.int32)
        for view in sampled(session.reader, session.outlook, series, span, session.budget):
            one = int(view.series[0])
            for group, ids in members:
                if one in ids:
                    values = group.family.values(session.outlook, view)[0]
                    samples.append(_one_series(group.labels(entries[one]), view.time_unix_nano, values))
        return samples


def _ids(group: Picked) -> Int32:
    return np.array([entry.series for entry in group.entries], np.int32)


def _of_group(group: Picked, ids: Int32, series: Int32, values: Float64) -> Vector:
    """Pick the series of a group that have a sample out of the values of a view."""
    present = ~np.isnan(values)
    place = np.searchsorted(series, ids)
    inside = (place < series.size) & (series[np.minimum(place, series.size - 1)] == ids)
    (held,) = np.nonzero(inside)
    held = held[present[place[held]].any(axis=1)]
    rows = place[held]
    return Vector([group.labels(group.entries[i]) for i in held.tolist()], values[rows], present[rows])


def _one_series(labels: dict[str, str], time: Int64, values: Float64) -> Samples:
    present = ~np.isnan(values)
    size = int(present.sum())
    return Samples([labels], np.array([0, size]), time[present], values[present], np.zeros(size, np.bool_))
