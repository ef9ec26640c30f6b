"""Fitted Prophets of one layout as columns: what the store keeps of them, and what is computed from that at once.

Beside what was fitted there is what follows from it and is needed to judge: theta's trend, and what the interval around
it grows from. One model's formulas stand in `fitted`; here they are those of linear and flat growth over arrays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from collector_processor.clock import DAY
from collector_processor.forecast.design import REFERENCE_UNIX_NANO, Design
from collector_processor.forecast.fitted import SMALLEST_DELTA, FittedProphet
from collector_processor.telemetry.points import Float64

TIMES = ("start_unix_nano", "span_nano", "last_changepoint_unix_nano")
SCALARS = ("k", "m", "y_scale", "y_offset", "sigma_obs")
DERIVED = ("level", "slope", "sigma", "changepoint_rate", "mean_delta")
VECTORS = ("delta", "changepoint")

Numbers = Mapping[str, npt.NDArray[Any]]
"""TIMES, SCALARS and DERIVED `(n,)`, VECTORS `(n, c)`, and `coefficients` `(n, K)` of the parts in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Models of one design with as many changepoints; `beta` names the parts that are in them, in Prophet's order."""

    design: Design
    beta: tuple[str, ...]
    numbers: Numbers

    @property
    def changepoints(self) -> int:
        """Return how many each has."""
        return int(self.numbers["delta"].shape[1])

    def theta(self) -> Float64:
        """Return the rows `(n, P)` of the design's theta."""
        return theta_of(self.design, self.beta, self.numbers)


def theta_of(design: Design, beta: Sequence[str], numbers: Any) -> Float64:
    """Return the rows `(n, P)` of theta from `numbers`, by name."""
    theta = np.zeros((len(numbers["level"]), design.size))
    theta[:, 0], theta[:, 1] = numbers["level"], numbers["slope"]
    unit = numbers["y_scale"][:, np.newaxis] if design.mode == "additive" else 1.0
    for name, columns in places(design, beta).items():
        theta[:, design.columns(name)] = unit * numbers["coefficients"][:, columns]
    return theta


def places(design: Design, beta: Sequence[str]) -> dict[str, slice]:
    """Return where the coefficients of each part lie."""
    found, first = {}, 0
    for name in beta:
        width = design.part(name).width
        found[name] = slice(first, first + width)
        first += width
    return found


def columns_of(fitted: Sequence[FittedProphet]) -> Columns:
    """Return models of one layout, one by one, as columns."""
    numbers = {name: np.array([getattr(one, name) for one in fitted]) for name in (*TIMES, *SCALARS, *VECTORS)}
    empty = np.empty((len(fitted), 0))
    numbers["coefficients"] = np.array([np.concatenate([*one.beta.values(), empty[0]]) for one in fitted])
    numbers["level"], numbers["slope"] = np.transpose([one.last_trend for one in fitted])
    trends = [one.trend_parameters for one in fitted]
    for name in ("sigma", "changepoint_rate", "mean_delta"):
        numbers[name] = np.array([getattr(trend, name) for trend in trends])
    return Columns(fitted[0].design, tuple(fitted[0].beta), numbers)


def with_derived(design: Design, beta: Sequence[str], fitted: Numbers) -> Columns:
    """Add what follows from additive models of linear or flat growth."""
    days, scale = fitted["span_nano"] / DAY, fitted["y_scale"]
    delta, at = fitted["delta"], fitted["changepoint"]
    k, m = fitted["k"] + delta.sum(axis=1), fitted["m"] - (delta * at).sum(axis=1)
    reference = (REFERENCE_UNIX_NANO - fitted["start_unix_nano"]) / fitted["span_nano"]
    changes = 0.0 if design.growth == "flat" else 1.0
    numbers = {
        **fitted,
        "last_changepoint_unix_nano": fitted["start_unix_nano"]
        + np.ceil(at[:, -1] * fitted["span_nano"]).astype(np.int64),
        "level": fitted["y_offset"] + scale * (m + k * reference),
        "slope": scale * k / days,
        "sigma": fitted["sigma_obs"] * scale,
        "changepoint_rate": changes * delta.shape[1] / days,
        "mean_delta": changes * (np.abs(delta).mean(axis=1) + SMALLEST_DELTA) * scale / days,
    }
    return Columns(design, tuple(beta), numbers)
