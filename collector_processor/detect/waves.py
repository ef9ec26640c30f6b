"""A batch in rounds: what is known of a series has to change from one of its points to the next."""

import numpy as np

from collector_processor.telemetry.points import Int32, Int64


def is_one_wave(series: Int32) -> bool:
    """Tell whether rows are one round as they stand, in whatever order."""
    if (series[1:] > series[:-1]).all():
        return True
    rows = np.arange(series.size, dtype=np.int32)
    last = np.empty(int(series.max(initial=-1)) + 1, np.int32)
    last[series] = rows  # of rows of one series the last is noted
    return bool((last[series] == rows).all())


def waves(series: Int32, time_unix_nano: Int64) -> list[Int64]:
    """Split rows into index arrays in which each series occurs at most once, in time order for every series."""
    if is_one_wave(series):
        return [np.arange(series.size)] if series.size else []
    order = np.lexsort((time_unix_nano, series))
    ordered = series[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    lengths = np.diff(np.append(starts, series.size))
    rank = np.arange(series.size) - np.repeat(starts, lengths)
    by_rank = np.argsort(rank, kind="stable")
    return np.split(order[by_rank], np.cumsum(np.bincount(rank))[:-1])
