"""What quantiles of parts say about the whole: 95 % of a service's requests, by what is known of its operations.

Quantiles do not add up, and their mean is none: a rare slow operation would lift it far above what nearly all requests
take. But shares do add up: the whole has under `t` the weighted mean of the shares of its parts. Each part's share is
known at its own quantiles, and taken to be log-logistic between and beyond them. So the result is exact for one
part, lies between the smallest and the largest of the parts always, and is an estimate otherwise.
"""

import numpy as np
import numpy.typing as npt

from collector_processor.telemetry.points import Float64, Int64

LEVELS = (0.5, 0.95, 0.99)

_SHORTEST = 1e-9
_STEEPEST = 1e6
_HALVINGS = 40


def mixed_quantiles(groups: int, group: Int64, weight: Float64, known: Float64) -> Float64:
    """Return `(groups, 3)` quantiles at LEVELS of `groups` mixtures, NaN where no part says that one.

    Each of the n parts belongs to a `group`, has a `weight` and the quantiles `known` `(n, 3)`, any of them NaN. Parts
    of a mixture in which none has any weight count alike.
    """
    weight = np.nan_to_num(weight)
    weight = np.where(np.bincount(group, weight, groups)[group] > 0, weight, 1.0)
    usable = np.isfinite(known).any(axis=1) & (weight > 0)
    group, weight, known = group[usable], weight[usable], known[usable]
    at = np.maximum.accumulate(np.log(np.maximum(_filled(known), _SHORTEST)), axis=1)
    total = np.bincount(group, weight, groups)
    low, high = np.full((groups, len(LEVELS)), np.inf), np.full((groups, len(LEVELS)), -np.inf)
    np.minimum.at(low, group, at)
    np.maximum.at(high, group, at)
    low[total == 0], high[total == 0] = np.nan, np.nan
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        shares = _shares(at, middle[group]) * weight[:, np.newaxis]
        whole = np.stack([np.bincount(group, column, groups) for column in shares.T], axis=1)
        is_short = whole < np.array(LEVELS) * total[:, np.newaxis]
        low, high = np.where(is_short, middle, low), np.where(is_short, high, middle)
    said = np.stack([np.bincount(group, column, groups) for column in np.isfinite(known).T], axis=1)
    return np.where(said > 0, np.exp(high), np.nan)


def _filled(known: Float64) -> Float64:
    """Put the nearest known quantile where one is missing."""
    filled = known.copy()
    for here, there in ((1, 0), (2, 1), (1, 2), (0, 1)):
        filled[:, here] = np.where(np.isnan(filled[:, here]), filled[:, there], filled[:, here])
    return filled


def _shares(at: Float64, time: Float64) -> Float64:
    """Return which share of each part takes less than each `time`, both as logarithms `(n, 3)`."""
    first, second, third = at.T[:, :, np.newaxis]
    _, upper, last = (float(np.log(level / (1 - level))) for level in LEVELS)
    below = (time - first) * _slope(upper, second - first)
    above = upper + (time - second) * _slope(last - upper, third - second)
    logit: npt.NDArray[np.float64] = np.where(time < second, below, above)
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -700, 700))))


def _slope(rise: float, run: Float64) -> Float64:
    return rise / np.maximum(run, rise / _STEEPEST)
