"""Which episodes another configuration would have made of the stored past: `foreband config try`.

Only what is known of verdicts is used: thresholds, directions, minimum deviations and maintenance windows of policies
are tried, forecasts are not made again. Both configurations are rehearsed the same way, so that what the rehearsal
leaves out is left out of both. A smaller minimum deviation than there was cannot show: the band was as wide as it said.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.table import Table

from collector_processor.budgets import found_factors, pasts_of
from collector_processor.clock import DAY
from collector_processor.config import Config
from collector_processor.detect.rehearse import Past, episodes_of, flagged_by
from collector_processor.inspection.wording import length, moment
from collector_processor.policy import Policies
from collector_processor.policy.budget import BUDGETS_BLOB, BudgetLog
from collector_processor.store.base import SeriesReader
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.points import Bool, Int64
from collector_processor.telemetry.rule import NO_COMPANION
from collector_processor.telemetry.series import SeriesKey
from collector_processor.telemetry.titles import full_title

_SERIES_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Change:
    """An episode that one of two configurations makes and the other does not; `is_added` by the new one."""

    key: SeriesKey
    is_added: bool
    start_unix_nano: int
    end_unix_nano: int
    score: float


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What changes, in order of time, and how many episodes there are in how many series-weeks."""

    changes: list[Change]
    before: int
    after: int
    series_weeks: float


def rehearse(
    directory: Path, old: Config, new: Config, start: int, end: int, advance: Callable[[int], None]
) -> Rehearsal:
    """Hold two configurations against the verdicts stored in `[start, end)`; `advance` is told of series as they go.

    Raises:
        StoreError: if the store can't be read.
    """
    with closing(open_reader(directory)) as reader:
        catalog = [(series, key) for series, key in reader.catalog() if key.statistic.is_modelled]
        keys = [key for _, key in catalog]
        given = _Judge(Policies(old.policies, old.detect.threshold), keys, _in_force(reader))
        policies = Policies(new.policies, new.detect.threshold)
        judges = [given, _Judge(policies, keys, found_factors(reader, policies, end))]
        first = dict(zip(*(column.tolist() for column in reader.first_times()), strict=True))
        changes, counts, weeks = list[Change](), np.zeros(2, np.int64), 0.0
        for at in range(0, len(catalog), _SERIES_AT_ONCE):
            part = catalog[at : at + _SERIES_AT_ONCE]
            pasts = pasts_of(reader, np.array([series for series, _ in part], np.int32), start, end)
            for place, ((series, key), past) in enumerate(zip(part, pasts, strict=True), at):
                spans = [judge.episodes(place, given, past, first.get(series, 0) + DAY) for judge in judges]
                counts += [len(found) for found in spans]
                weeks += past.weeks
                changes += _differences(key, past, *spans)
            advance(len(part))
    changes.sort(key=lambda change: change.start_unix_nano)
    return Rehearsal(changes, int(counts[0]), int(counts[1]), weeks)


def table_of(changes: Sequence[Change]) -> Table:
    """Lay out changes for people, one a row."""
    table = Table("", "from", "lasted", "score", "series", box=None, header_style="bold")
    for change in changes:
        sign, lasted = "+" if change.is_added else "-", length(change.end_unix_nano - change.start_unix_nano)
        series = escape(full_title(change.key))
        table.add_row(sign, moment(change.start_unix_nano), lasted, f"{change.score:.2f}", series)
    return table


def summary_of(rehearsal: Rehearsal) -> str:
    """Say in one line what changes."""
    added = sum(change.is_added for change in rehearsal.changes)
    weeks = max(rehearsal.series_weeks, 1e-9)
    return (
        f"{rehearsal.before} episodes as it is ({rehearsal.before / weeks:.2g} a series-week), "
        f"{rehearsal.after} with the change ({rehearsal.after / weeks:.2g}): "
        f"{added} added, {len(rehearsal.changes) - added} removed"
    )


class _Judge:
    """One configuration's rules, by the place of a series in a list."""

    def __init__(self, policies: Policies, keys: Sequence[SeriesKey], budgets: Mapping[str, float]) -> None:
        policies.budget_factors = budgets
        self._rules = policies.rules(keys, lambda _: NO_COMPANION)
        self._maintenance = policies.maintenance

    def episodes(self, place: int, given: "_Judge", past: Past, since: int) -> Int64:
        """Return the episodes `(e, 2)` of a series from `since` on; its scores are those that `given` gave."""
        rule = self._rules[place]
        factor = float(rule["threshold"] / given._rules[place]["threshold"])  # noqa: SLF001 - of its own kind
        flagged = flagged_by(past, factor, rule, since)
        flagged &= ~self._in_maintenance(int(rule["maintenance"]), past.time_unix_nano)
        return episodes_of(past, flagged, float(given._rules[place]["threshold"]))  # noqa: SLF001

    def _in_maintenance(self, number: int, time_unix_nano: Int64) -> Bool:
        if not number:
            return np.zeros(time_unix_nano.size, np.bool_)
        return self._maintenance[number - 1].covers(time_unix_nano)


def _in_force(reader: SeriesReader) -> Mapping[str, float]:
    return BudgetLog.from_bytes(reader.blob(BUDGETS_BLOB)).newest


def _differences(key: SeriesKey, past: Past, before: Int64, after: Int64) -> list[Change]:
    removed = [(span, False) for span in before.tolist() if not _overlaps(span, after)]
    added = [(span, True) for span in after.tolist() if not _overlaps(span, before)]
    return [Change(key, is_added, start, end, _peak(past, start, end)) for (start, end), is_added in removed + added]


def _overlaps(span: Sequence[int], others: Int64) -> bool:
    return bool(((others[:, 0] <= span[1]) & (others[:, 1] >= span[0])).any())


def _peak(past: Past, start: int, end: int) -> float:
    first, stop = np.searchsorted(past.time_unix_nano, (start, end + 1))
    within = past.score[first:stop]
    return float(within[np.abs(within).argmax()])
