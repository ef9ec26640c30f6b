"""What is asked of the verdicts on a series, one record per series: where a policy has become numbers.

Made from a policy and the kind of the metric when a series is first seen, and read by whole columns.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

LIMITS_DTYPE = np.dtype(
    [
        ("least", "<f8"),  # a deviation from yhat up to this, in value units, is never outside the band
        ("least_share", "<f8"),  # the same as a share of |yhat|; the larger of the two counts
        ("low", "<f8"),  # no forecast and no band goes below this; -inf: it may
        ("high", "<f8"),
    ]
)
"""What bands have to respect; whoever draws a band ahead needs them too."""

NO_LIMITS = (0.0, 0.0, -np.inf, np.inf)


class Direction(IntEnum):
    """On which side of the band a value is flagged."""

    DOWN = -1
    BOTH = 0
    UP = 1


class Missing(IntEnum):
    """What the absence of points means."""

    AUTO = 0  # news, where the series was always there
    GAP = 1  # nothing
    ZERO = 2  # zeros
    LAST = 3  # the last value
    ALERT = 4  # news, always


NO_COMPANION = -1

RULE_DTYPE = np.dtype(
    [
        ("is_modelled", "?"),  # it is judged at all
        ("limits", LIMITS_DTYPE),
        ("has_bounds", "?"),  # low and high are an operator's: a value beyond them is outside, whatever was learned
        ("threshold", "<f8"),  # of the combined z
        ("direction", "i1"),
        ("least_events", "<f8"),  # a point made of fewer requests is not judged
        ("companion", "<i4"),  # the series that counts those requests per second
        ("maintenance", "<i4"),  # which maintenance windows, 0: none
        ("missing", "u1"),
        ("intervals", "<f8"),  # usual ones without a point are a silence
        ("at_least", "<i8"),  # but none shorter than this
        ("service", "<i4"),  # dense numbers of the series' service and resource
        ("resource", "<i4"),
        ("family", "<i4"),  # the number of all series that differ by attributes only, 0: none
    ]
)
Rules = npt.NDArray[np.void]
"""Array (series,) of RULE_DTYPE."""
