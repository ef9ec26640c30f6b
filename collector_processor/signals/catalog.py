"""Which series there are: canonical key <-> dense id, and the raw bytes that are only aliases of a key.

A known data point costs one dict look-up of its raw attribute bytes. Bytes never seen are parsed once; another
attribute order or encoding of the same attributes is a further alias of the same key, not another series.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat

import numpy as np

from collector_processor.errors import MalformedRequestError
from collector_processor.signals.aliases import Aliases
from collector_processor.telemetry.arrival import Source
from collector_processor.telemetry.points import Int32, Int64
from collector_processor.telemetry.series import Attributes, Kind, Scope, SeriesKey, Statistic

REFUSED = -1
"""Id of a series past the limit."""
MALFORMED = -2
"""Id of a series whose attributes, resource or scope can't be parsed."""

VACANT = SeriesKey((), Scope("", "", ()), "", "", Kind.GAUGE, Statistic.TOTAL, ())
"""In the place of a key where no series has an id."""

KNOWN_PER_PLACE = 4
"""Series in memory, idle ones included, for each place of the limit."""

_UNKNOWN_ROW, _REFUSED_ROW, _MALFORMED_ROW = -1, 0, 1  # in this order: all up to refused may be learned
_FIRST_ROW = 2  # of those that stand for series
_IDENTITY_COST = 2  # the canonical bytes, and about as much again as Python objects
_ALIAS_OVERHEAD = 200  # bytes of a dict entry and its objects beside the raw bytes

_Tables = dict[tuple[Source, tuple[Statistic, ...]], Aliases]
_NONE = Aliases()  # of a source nobody knows; it stays empty


class Catalog:
    """All series; ids are dense, and those of series that the store has forgotten are given again, smallest first.

    `alias_bytes` bounds a generation of aliases; when it is full, aliases unused for a whole generation are forgotten.
    `identity_bytes` bounds what names and attributes of all series take, so that few huge ones cannot fill the memory.
    While `takes_new` is false no series is added. `idle` of the series are silent and take no place of the limit; they
    stay known and go on when they report again, so there are at most `KNOWN_PER_PLACE` series for each place.
    """

    def __init__(
        self,
        parse_resource: Callable[[bytes], Attributes],
        parse_scope: Callable[[bytes], Scope],
        parse_attributes: Callable[[bytes], Attributes],
        series_limit: int = 100_000,
        alias_bytes: int = 64 * 1024 * 1024,
        identity_bytes: int = 512 * 1024 * 1024,
    ) -> None:
        self.takes_new = True
        self.idle = 0
        self._parse_resource = parse_resource
        self._parse_scope = parse_scope
        self._parse_attributes = parse_attributes
        self._series_limit = series_limit
        self._alias_bytes = alias_bytes
        self._identity_bytes_left = identity_bytes
        self._keys: list[SeriesKey] = []
        self._ids: dict[bytes, int] = {}
        self._vacant: deque[int] = deque()
        self._made: list[int] = []
        self._last_alias: list[tuple[Source, bytes] | None] = []
        self._new_from = 0
        self._families: dict[tuple[Statistic, ...], _Families] = {}
        self._aliases: _Tables = {}
        self._older_aliases: _Tables = {}
        self._bytes_used = 0
        self._resources: dict[bytes, Attributes] = {}
        self._scopes: dict[bytes, Scope] = {}
        self._shapes: dict[tuple[str, str], tuple[Kind, str]] = {}  # of a service's metric, as first seen
        self._mixed: dict[tuple[str, str], str] = {}

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def keys(self) -> Sequence[SeriesKey]:
        """All keys, indexed by series id; `VACANT` where there is no series."""
        return self._keys

    @property
    def made(self) -> Sequence[int]:
        """All ids of series, in the order in which they were given."""
        return self._made

    @property
    def series_limit(self) -> int:
        """How many series there may be."""
        return self._series_limit

    @property
    def room(self) -> int:
        """How many more series the limits allow."""
        if not self.takes_new or self._identity_bytes_left <= 0:
            return 0
        active = len(self._made) - self.idle
        return max(0, min(self._series_limit - active, KNOWN_PER_PLACE * self._series_limit - len(self._made)))

    def resolve(self, source: Source, attributes: Sequence[bytes], statistics: tuple[Statistic, ...]) -> Int32:
        """Return series ids `(n, k)` of `n` points with `k` statistics each, making new series as needed.

        A row is `REFUSED` where the series limit is reached and `MALFORMED` where bytes can't be parsed.
        """
        table = self._aliases.get((source, statistics), _NONE)
        known = table.block(attributes)
        if known is not None:
            return known
        families = self._families.get(statistics)
        if families is None:
            families = self._families[statistics] = _Families(len(statistics))
        rows = np.fromiter(map(table.row_of.get, attributes, repeat(_UNKNOWN_ROW)), np.int64, len(attributes))
        least = rows.min(initial=_FIRST_ROW)
        if least == _UNKNOWN_ROW or (least == _REFUSED_ROW and self.room):
            for i in np.flatnonzero(rows <= _REFUSED_ROW).tolist():
                rows[i] = self._learn(source, attributes[i], statistics, families)
        ids = families.take(rows)
        if least == _FIRST_ROW and table.has_come_before(attributes):
            self._keep_block(table, attributes, ids)
        return ids

    def intern(self, keys: Sequence[SeriesKey], *, beyond_limit: bool = False) -> Int32:
        """Return ids `(k,)` of keys that belong together, new ones as needed: all of them, or `REFUSED` for the new."""
        ids = [self._ids.get(key.identity, REFUSED) for key in keys]
        if beyond_limit or ids.count(REFUSED) <= self.room:
            ids = [self._append(key) if i == REFUSED else i for i, key in zip(ids, keys, strict=True)]
        return np.array(ids, np.int32)

    def find(self, key: SeriesKey) -> int:
        """Return the id of a series, `REFUSED` where there is none."""
        return self._ids.get(key.identity, REFUSED)

    def alias_of(self, series: int) -> tuple[Source, bytes] | None:
        """Return source and raw attributes of the newest alias; None until a point of the series came."""
        return self._last_alias[series]

    def forget_aliases(self) -> None:
        """Free the memory of aliases; what comes next is parsed again once."""
        self._older_aliases, self._aliases, self._bytes_used = {}, {}, 0
        self._resources, self._scopes = {}, {}

    def take_new(self) -> list[tuple[int, SeriesKey]]:
        """Return the series made since the last call, ascending: they belong into the next commit."""
        new = [(series, self._keys[series]) for series in self._made[self._new_from :]]
        self._new_from = len(self._made)
        return new

    def take_mixed(self) -> list[str]:
        """Return what can be said of metrics found since the last call to come in two kinds or units, once each."""
        said = [text for text in self._mixed.values() if text]
        self._mixed = dict.fromkeys(self._mixed, "")
        return said

    def restore(self, entries: Iterable[tuple[int, SeriesKey]]) -> None:
        """Load what the store holds into an empty catalog; the limit does not apply.

        Raises:
            ValueError: if ids don't ascend.
        """
        for series, key in entries:
            if series < len(self._keys):
                raise ValueError(f"series id {series} where {len(self._keys)} or more was expected")
            vacant = range(len(self._keys), series)
            self._vacant.extend(vacant)
            self._keys.extend(repeat(VACANT, len(vacant) + 1))
            self._last_alias.extend(repeat(None, len(vacant) + 1))
            self._put(series, key)
        self._new_from = len(self._made)

    def _keep_block(self, table: Aliases, attributes: Sequence[bytes], ids: Int32) -> None:
        """Keep a block of known series, in bytes that are held anyway."""
        aliases = [self._last_alias[series] for series in ids[:, 0].tolist()]
        held = [alias[1] for alias in aliases if alias is not None]
        if held == attributes:
            table.keep(held, ids)

    def _append(self, key: SeriesKey) -> int:
        """Give a key the smallest id that is vacant, else the next one."""
        series = self._vacant.popleft() if self._vacant else len(self._keys)
        if series == len(self._keys):
            self._keys.append(VACANT)
            self._last_alias.append(None)
        self._put(series, key)
        return series

    def _put(self, series: int, key: SeriesKey) -> None:
        self._keys[series] = key
        self._made.append(series)
        self._ids[key.identity] = series
        self._identity_bytes_left -= _IDENTITY_COST * len(key.identity)

    def _learn(self, source: Source, raw: bytes, statistics: tuple[Statistic, ...], families: "_Families") -> int:
        """Return the row of raw bytes that the present generation doesn't know, and remember it.

        What was refused is looked at again when there is room.
        """
        table = (source, statistics)
        row = self._aliases.get(table, _NONE).row_of.get(raw)  # an earlier row of this very batch may have brought it
        if row is not None and (row != _REFUSED_ROW or not self.room):
            return row
        row = self._older_aliases.get(table, _NONE).row_of.get(raw)
        if row is None or row == _REFUSED_ROW:
            row = self._find_family(source, raw, statistics, families)
        self._remember(source, raw, statistics, row)
        return row

    def _find_family(self, source: Source, raw: bytes, statistics: tuple[Statistic, ...], families: "_Families") -> int:
        try:
            primary = self._key(source, raw, statistics[0])
        except MalformedRequestError:
            return _MALFORMED_ROW
        row = families.row_of.get(self._ids.get(primary.identity, REFUSED))
        if row is None:
            ids = self.intern([primary, *(_sibling(primary, s) for s in statistics[1:])])
            if ids[0] == REFUSED:
                return _REFUSED_ROW
            row = families.append(ids)
            self._compare(primary)
        alias = (source, raw)
        for series in families.members[row].tolist():
            if series >= 0:
                self._last_alias[series] = alias
        return row

    def _compare(self, key: SeriesKey) -> None:
        """Note where a metric of a service changes its kind, temporality or unit: that makes other series."""
        metric, shape = (key.service, key.metric.lower()), (key.kind, key.unit)
        first = self._shapes.setdefault(metric, shape)
        if shape != first and metric not in self._mixed:
            said = " and ".join(f"{kind.value} in {unit or 'no unit'}" for kind, unit in (first, shape))
            self._mixed[metric] = f"metric {key.metric!r} of {key.service!r} comes as {said}: series of each"

    def _key(self, source: Source, raw: bytes, statistic: Statistic) -> SeriesKey:
        if source.resource not in self._resources:
            self._resources[source.resource] = self._parse_resource(source.resource)
        if source.scope not in self._scopes:
            self._scopes[source.scope] = self._parse_scope(source.scope)
        return SeriesKey(
            resource=self._resources[source.resource],
            scope=self._scopes[source.scope],
            metric=source.metric,
            unit=source.unit,
            kind=source.kind,
            statistic=statistic,
            attributes=self._parse_attributes(raw),
        )

    def _remember(self, source: Source, raw: bytes, statistics: tuple[Statistic, ...], row: int) -> None:
        table = self._aliases.get((source, statistics))
        if table is None:
            table = self._aliases[source, statistics] = Aliases()
            self._bytes_used += len(source.resource) + len(source.scope) + len(source.metric) + 2 * _ALIAS_OVERHEAD
        table.row_of[raw] = row
        self._bytes_used += len(raw) + _ALIAS_OVERHEAD
        if self._bytes_used > self._alias_bytes:
            self._older_aliases, self._aliases, self._bytes_used = self._aliases, {}, 0
            self._resources, self._scopes = {}, {}


class _Families:
    """Ids of series that come from the same data points, one row each; the first two rows stand for failures."""

    def __init__(self, statistics: int) -> None:
        self.members = np.full((64, statistics), REFUSED, np.int32)
        self.members[_MALFORMED_ROW] = MALFORMED
        self.row_of: dict[int, int] = {}
        self._size = _FIRST_ROW

    def append(self, ids: Int32) -> int:
        if self._size == len(self.members):
            self.members = np.concatenate([self.members, np.full_like(self.members, REFUSED)])
        row, self._size = self._size, self._size + 1
        self.members[row] = ids
        self.row_of[int(ids[0])] = row
        return row

    def take(self, rows: Int64) -> Int32:
        return self.members[rows]


def _sibling(key: SeriesKey, statistic: Statistic) -> SeriesKey:
    return SeriesKey(key.resource, key.scope, key.metric, key.unit, key.kind, statistic, key.attributes)
