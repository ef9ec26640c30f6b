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


def series_of(row_id: int) -> int:
    """Return the series of a row of `chunk`."""
    return row_id & (MAX_SERIES - 1)
