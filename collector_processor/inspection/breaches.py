"""When the series of a store will reach their bounds, as a table: `foreband capacity`."""

from collections.abc import Sequence
from contextlib import closing
from math import isfinite
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from collector_processor.clock import Clock
from collector_processor.forecast.capacity import Bound, Breach
from collector_processor.policy import Policies, PoliciesInForce
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.titles import full_title
from grafana_datasource.backend import Session
from grafana_datasource.budget import Budget
from grafana_datasource.capacity import Capacity
from grafana_datasource.outlook import Outlooks
from grafana_datasource.query import Limits

_ALL = 2**62
_DAY_SECONDS = 86_400

Row = tuple[str, Bound, Breach]


def breaches(directory: Path, policies: Policies, clock: Clock) -> list[Row]:
    """Return the title of every live series that has a bound, and when it is reached, the likeliest first.

    Raises:
        StoreError: if the store can't be read.
    """
    with closing(open_reader(directory)) as reader:
        outlook = Outlooks(clock, 1.0).current(reader)
        budget = Budget.start(Limits(samples_read=_ALL, seconds=_DAY_SECONDS), clock)
        session = Session(reader, outlook, clock.now_unix_nano(), budget)
        found = Capacity(PoliciesInForce(policies), at_once=_ALL).found(session, outlook.directory.modelled)
    rows = [(full_title(entry.key), bound, seen) for entry, bound, seen in found]
    return sorted(rows, key=lambda row: (-row[2].probability, row[0]))


def table_of(rows: Sequence[Row]) -> Table:
    """Lay out breaches for people, one series a row."""
    table = Table("series", "bound", "likely", "within", "10 %", "half", "90 %", box=None, header_style="bold")
    for title, bound, seen in rows:
        limit = f"{'>=' if bound.side > 0 else '<='} {bound.limit:.4g}"
        when = (_days(seconds) for seconds in seen.seconds.tolist())
        table.add_row(escape(title), limit, f"{seen.probability:.0%}", _days(seen.horizon / 1e9), *when)
    return table


def _days(seconds: float) -> str:
    return f"{seconds / _DAY_SECONDS:.1f} d" if isfinite(seconds) else "-"
