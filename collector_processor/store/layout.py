"""Numbers of parts and chunks: which stretch of time a row of the store belongs to.

A part is two hours (a block) or a day of all series. Parts number time, chunks number (part, series) with the part in
the high bits: rows are inserted in order of time, and dropping old data is deleting a range.
"""

from collector_processor.clock import DAY, HOUR
from collector_processor.telemetry.points import Int64

BLOCK = 2 * HOUR
MAX_SERIES = 1 << 24
SERIES_PER_SUMMARY = 1 << 10
SERIES_PER_ROLLUP = 1 << 7
SERIES_PER_SHEET = 1 << 7
_SHEET_BITS, _KEY_BITS = 32, 15
_SERIES_BITS = 24
_DAY_FLAG = 1 << 24


def block_part(time_unix_nano: Int64) -> Int64:
    """Return the block each time lies in."""
    return time_unix_nano // BLOCK


def day_part(time_unix_nano: Int64) -> Int64:
    """Return the day part each time lies in."""
    return time_unix_nano // DAY | _DAY_FLAG


def day_of(part: int) -> int:
    """Return the day part that `part` lies in, or is."""
    return part if is_day(part) else (part * BLOCK) // DAY | _DAY_FLAG


def blocks_of(day: int) -> range:
    """Return the blocks of a day part."""
    start = (day ^ _DAY_FLAG) * DAY // BLOCK
    return range(start, start + DAY // BLOCK)


def is_day(part: int) -> bool:
    """Tell days from blocks."""
    return bool(part & _DAY_FLAG)


def block_begin(time_unix_nano: int) -> int:
    """Return where the block of a time begins."""
    return time_unix_nano // BLOCK * BLOCK


def span(part: int) -> tuple[int, int]:
    """Return the `[start, end)` of a part."""
    number, length = (part ^ _DAY_FLAG, DAY) if is_day(part) else (part, BLOCK)
    return number * length, (number + 1) * length


def by_time(part: int) -> tuple[int, bool]:
    """Return a sort key: by day, blocks before the day they were or are merged into."""
    return span(part)[0] // DAY, is_day(part)


def chunk_id(part: int, series: int) -> int:
    """Return the row of a series in a part."""
    return part << _SERIES_BITS | series


def ids_of(part: int) -> tuple[int, int]:
    """Return the first and last row id that `part` can have in tables `chunk`, `times`, `summary` and `rollup`."""
    return part << _SERIES_BITS, ((part + 1) << _SERIES_BITS) - 1


def summary_id(part: int, series: int) -> int:
    """Return the summary row that a series of a part is in."""
    return part << _SERIES_BITS | series // SERIES_PER_SUMMARY


def rollup_id(part: int, series: int) -> int:
    """Return the rollup row that a series of a part is in."""
    return part << _SERIES_BITS | series // SERIES_PER_ROLLUP


def sheet_ids(group: int) -> tuple[int, int]:
    """Return the first and last row id that the sheets of `group` can have; they ascend in order of writing."""
    return group << _SHEET_BITS, ((group + 1) << _SHEET_BITS) - 1


def group_of_sheet(row_id: int) -> int:
    """Return the group of a row of `sheet`: its series divided by SERIES_PER_SHEET."""
    return row_id >> _SHEET_BITS


def sheet_key(row_id: int) -> int:
    """Return what the bodies of a row of `sheet` are sealed with: 32 bits are taken of a key, and groups are above."""
    return group_of_sheet(row_id) << _KEY_BITS ^ row_id


def series_of(row_id: int) -> int:
    """Return the series of a row of `chunk`."""
    return row_id & (MAX_SERIES - 1)
