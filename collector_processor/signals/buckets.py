"""Bucket counts as series: what cumulative histograms count up to each bound, as Prometheus spells it (`le`).

They are stored as they come, for questions about any quantile or share over any group, and are never modelled. They
take places of their own within the limit of series: a histogram has all of its buckets or none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from collector_processor.clock import DAY, MINUTE
from collector_processor.signals.catalog import REFUSED, Catalog
from collector_processor.signals.histogram import BucketBlock
from collector_processor.telemetry.points import Float64, Int32, Int64, PointBatch
from collector_processor.telemetry.series import Attributes, SeriesKey, Statistic

_LOOK = MINUTE


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """How many series of buckets there may be, and after which silence (nanoseconds) one gives its place away."""

    most: int = 0
    idle: int = DAY


class BucketSeries:
    """The series of the buckets of each histogram, by the dense id of its COUNT."""

    def __init__(self, catalog: Catalog, settings: BucketSettings) -> None:
        self._catalog = catalog
        self._settings = settings
        self._of: dict[bytes, dict[int, Int32]] = {}  # by bounds
        self._bare: set[tuple[bytes, int]] = set()
        self._made: list[int] = []
        self._known = 0
        self._left = settings.most
        self._looked = 0

    def give_away(self, newest: Int64, now: int) -> None:
        """Count the places of silent series as free, once a minute; `newest` are the times of last points by id."""
        if not self._settings.most or now - self._looked < _LOOK:
            return
        self._looked = now
        made, keys = self._catalog.made, self._catalog.keys
        self._made += [series for series in made[self._known :] if keys[series].statistic is Statistic.BUCKET]
        self._known = len(made)
        active = int((newest[self._made] > now - self._settings.idle).sum()) if self._made else 0
        self._left = self._settings.most - active
        if self._left > 0 and self._catalog.room:
            self._bare.clear()

    def points(self, blocks: Sequence[BucketBlock], series: Int32, time: Int64) -> tuple[PointBatch, Int64, int]:
        """Return the points of all buckets, the rows they came from, and how many histograms found no place.

        `series` and `time` `(n,)` are those of the COUNT points that the rows of the blocks mean.
        """
        points, row, bare = [PointBatch.empty()], [np.empty(0, np.int64)], 0
        for block in blocks if self._settings.most else ():
            if not block.bounds.size:
                continue
            order = np.argsort(block.rows)
            ids = self._ids(block.bounds, series[block.rows[order]])
            has_place = ids[:, 0] != REFUSED
            rows, counts = block.rows[order][has_place], np.cumsum(block.counts[order][has_place], axis=1)
            each = np.repeat(rows, counts.shape[1])
            points.append(PointBatch(ids[has_place].ravel(), time[each], counts.ravel()))
            row.append(each)
            bare += int((~has_place).sum())
        return PointBatch.concat(points), np.concatenate(row), bare

    def _ids(self, bounds: Float64, series: Int32) -> Int32:
        """Return the ids `(n, buckets)` of histograms, `REFUSED` for those without a place."""
        name, none = bounds.tobytes(), np.full(bounds.size + 1, REFUSED, np.int32)
        known = self._of.setdefault(name, {})
        for each in dict.fromkeys(series.tolist()):
            if each in known or (name, each) in self._bare:
                continue
            found = self._found(self._catalog.keys[each], bounds)
            if found is None:
                self._bare.add((name, each))
            else:
                known[each] = found
        return np.array([known.get(each, none) for each in series.tolist()], np.int32).reshape(-1, none.size)

    def _found(self, count: SeriesKey, bounds: Float64) -> Int32 | None:
        """Return the series of one histogram's buckets, made where there is room for all of them."""
        last = _bucket_key(count, "+Inf")
        is_new = self._catalog.find(last) == REFUSED
        if is_new and self._left <= bounds.size:
            return None
        keys = [*(_bucket_key(count, _text(bound)) for bound in bounds.tolist()), last]
        size = len(self._catalog.made)
        ids = self._catalog.intern(keys)
        self._left -= len(self._catalog.made) - size
        return None if REFUSED in ids else ids


def _bucket_key(count: SeriesKey, le: str) -> SeriesKey:
    attributes = _with_bound(count.attributes, le)
    return SeriesKey(count.resource, count.scope, count.metric, count.unit, count.kind, Statistic.BUCKET, attributes)


def _with_bound(attributes: Attributes, le: str) -> Attributes:
    """Add the bound; an attribute of that name is kept under another."""
    others = [("exported_le" if key == "le" else key, value) for key, value in attributes]
    return tuple(sorted([*others, ("le", le)], key=lambda pair: pair[0]))


def _text(bound: float) -> str:
    """Write a bound as Prometheus does: the shortest digits, no exponent."""
    return format(Decimal(repr(bound)), "f").removesuffix(".0")
