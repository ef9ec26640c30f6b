"""How wide Prophet's interval is, from the characteristic function of what Prophet samples.

At the h-th step of length D past the history Prophet adds to its forecast

    D sum_{j < h} (j + 1/2) b_j L_j + sigma Z,    b_j ~ Bernoulli(p), L_j ~ Laplace(lambda), Z ~ Normal,

(`Prophet._make_trend_shift_matrix`, summed twice). Divided by sigma, with u_j = (j + 1/2) / h and
c = h D lambda / sigma, the characteristic function of that sum of independent terms is

    phi(w) = exp(-w^2 / 2) prod_j (1 - p + p / (1 + (c u_j w)^2)).

For many steps the product tends to exp(n (arctan(c w) / (c w) - 1)), the integral over u in place of the sum; n is the
expected number of changes, and with n = 2 p h / (2 - p) both variance and kurtosis are those of the sum. So all series
at all horizons share one function of n and the ratio trend sd / sigma, and one more for each of the first few steps,
where the sum is no integral yet. Each is tabulated when first needed, in under a second: phi is inverted by a
Fourier transform (Gil-Pelaez 1951) at every node. Along the ratio the quantile is nearly a hyperbola, so nodes are
interpolated linearly, and the last line goes on for ever.
"""

from collections.abc import Iterator
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from collector_processor.telemetry.points import Bool, Float64, Int64

MANY = 0
"""The layer of a table for more steps than any other layer has."""

_LAST_LAYER = 4  # steps; beyond, the limit of many is within 0.2 % of the width (95 % of nodes)
_LOG_CHANGES, _CHANGES_STEP = np.log(2e-3), 0.06  # fewer changes don't reach an interval of 99.5 %
_LOG_RATIO, _RATIO_STEP = np.log(0.03), 0.2  # a smaller ratio widens the interval by less than 0.1 %
_CHANGES = np.exp(_LOG_CHANGES + _CHANGES_STEP * np.arange(210))
_RATIO = np.exp(_LOG_RATIO + _RATIO_STEP * np.arange(41))
_STRIDE = np.diff(_RATIO)
_TAIL = 1e-4  # mass beyond the range of a transform
_SPACING = 0.4  # sigmas: exp(-w^2 / 2) leaves no detail below
_CELLS_AT_ONCE = 1 << 19


def half_widths(ratio: Float64, steps: Float64, changes: Float64, interval_widths: tuple[float, ...]) -> Float64:
    """Return half of each interval in units of sigma, `(L, ...)`, at `steps` past the history.

    `ratio` is trend sd / sigma, finite; `changes` is n, see `expected_changes`. Shapes broadcast to that of `ratio`.

    Raises:
        ValueError: if an interval width is not within (0, 1).
    """
    for width in interval_widths:
        if not 0.0 < width < 1.0:
            raise ValueError(f"interval_width must lie within (0, 1), not {width}")
    if not (ratio > _RATIO[0]).any():
        normal = [np.full(ratio.shape, NormalDist().inv_cdf((1.0 + width) / 2.0)) for width in interval_widths]
        return np.stack(normal)
    result = _interpolated(_table(MANY, interval_widths), ratio, changes)
    few = np.broadcast_to(steps < _LAST_LAYER + 0.5, ratio.shape) & (ratio > _RATIO[0])
    if few.any():
        layer = np.maximum(np.rint(np.broadcast_to(steps, ratio.shape)[few]), 1.0)
        result[:, few] = _of_few_steps(layer, ratio[few], np.broadcast_to(changes, ratio.shape)[few], interval_widths)
    return result


def expected_changes(steps: Float64, probability: Float64) -> Float64:
    """Return n, for which the limit of many steps has the kurtosis of `steps` with a change at `probability` each."""
    return np.asarray(steps * (2.0 * probability / (2.0 - probability)))


def _of_few_steps(steps: Float64, ratio: Float64, changes: Float64, interval_widths: tuple[float, ...]) -> Float64:
    result = np.empty((len(interval_widths), ratio.size))
    for layer in np.unique(steps).astype(np.int64).tolist():
        rows = steps == layer
        result[:, rows] = _interpolated(_table(layer, interval_widths), ratio[rows], changes[rows])
    return result


def _interpolated(table: Float64, ratio: Float64, changes: Float64) -> Float64:
    log_changes = np.log(np.clip(changes, _CHANGES[0], 0.999 * _CHANGES[-1]))
    row = (log_changes - _LOG_CHANGES) / _CHANGES_STEP
    first = row.astype(np.int64)
    down = row - first
    bounded = np.maximum(ratio, _RATIO[0])
    column = ((np.log(bounded) - _LOG_RATIO) / _RATIO_STEP).astype(np.int64)
    np.clip(column, 0, _RATIO.size - 2, out=column)
    right = (bounded - _RATIO[column]) / _STRIDE[column]
    at = first * _RATIO.size + column
    return np.stack([_at(level, at, down, right) for level in table])


def _at(level: Float64, at: Int64, down: Float64, right: Float64) -> Float64:
    """Return the values between four nodes: `at`, the next ratio, and both for the next n."""
    above = _between(level.take(at), level.take(at + 1), right)
    below = _between(level.take(at + _RATIO.size), level.take(at + _RATIO.size + 1), right)
    return _between(above, below, down)


def _between(one: Float64, other: Float64, share: Float64) -> Float64:
    other -= one
    other *= share
    other += one
    return other


@lru_cache(maxsize=32)
def _table(layer: int, widths: tuple[float, ...]) -> Float64:
    """Return half widths in sigmas `(L, N * R)` at every node, for one number of steps."""
    changes, ratio = (grid.ravel() for grid in np.meshgrid(_CHANGES, _RATIO, indexing="ij"))
    if layer != MANY:
        changes = np.minimum(changes, 2.0 * layer)  # there p is 1
    scale = ratio / _unit_sd(layer, changes)
    reach = 8.0 + 6.0 * ratio + scale * np.maximum(np.log(changes / _TAIL), 0.0)
    size = 1 << np.ceil(np.log2(2.0 * reach / _SPACING)).astype(np.int64)
    table = np.empty((len(widths), changes.size))
    levels = np.array(widths)
    for nodes in _batches(size):
        n = int(size[nodes[0]])
        w = np.pi / reach[nodes, np.newaxis] * np.arange(n // 2 + 1)
        phi = _characteristic(layer, changes[nodes, np.newaxis], scale[nodes, np.newaxis] * w)
        phi *= np.exp(-0.5 * w * w)
        table[:, nodes] = _quantiles(phi, reach[nodes], levels)
    return table


def _unit_sd(layer: int, changes: Float64) -> Float64:
    """Return the standard deviation of the trend for c = 1."""
    if layer == MANY:
        return np.asarray(np.sqrt(changes * (2.0 / 3.0)))
    return np.asarray(np.sqrt(2.0 * _probability(layer, changes) * float((_places(layer) ** 2).sum())))


def _probability(layer: int, changes: Float64) -> Float64:
    """Invert `expected_changes`."""
    return 2.0 * changes / (2.0 * layer + changes)


def _places(layer: int) -> Float64:
    return (np.arange(layer) + 0.5) / layer


def _characteristic(layer: int, changes: Float64, cw: Float64) -> Float64:
    """Return the characteristic function of the trend."""
    if layer == MANY:
        mean = np.ones_like(cw)
        np.divide(np.arctan(cw), cw, out=mean, where=cw > 0.0)
        return np.asarray(np.exp(changes * (mean - 1.0)))
    probability, phi = _probability(layer, changes), np.ones_like(cw)
    for place in _places(layer).tolist():
        phi *= 1.0 - probability + probability / (1.0 + (place * cw) ** 2)
    return phi


def _batches(size: Int64) -> Iterator[Int64]:
    """Yield nodes whose transforms have one size, as many as fit the memory meant for them."""
    for n in np.unique(size).tolist():
        nodes = np.flatnonzero(size == n)
        yield from np.array_split(nodes, max(1, nodes.size * n // _CELLS_AT_ONCE))


def _quantiles(phi: Float64, reach: Float64, widths: Float64) -> Float64:
    """Return x `(L, m)` with P(|X| < x) = width, from phi at multiples of pi / reach `(m, n / 2 + 1)`."""
    n = 2 * (phi.shape[1] - 1)
    spacing = 2.0 * reach / n
    density = np.fft.irfft(phi, n, axis=1)[:, : n // 2] / spacing[:, np.newaxis]
    wave = np.zeros(phi.shape, np.complex128)
    wave.imag[:, 1:] = -phi[:, 1:] / np.arange(1, n // 2 + 1)
    inside = np.fft.irfft(wave, n, axis=1)[:, : n // 2] * (n / np.pi)
    inside += 2.0 / n * np.arange(n // 2)
    below = np.maximum(np.count_nonzero(inside <= widths[:, np.newaxis, np.newaxis], axis=2) - 1, 0)
    row = np.arange(len(phi))
    at = np.minimum(below, n // 2 - 2)
    slope = 2.0 * density * spacing[:, np.newaxis]
    part = _cubic_root(
        inside[row, at] - widths[:, np.newaxis],
        inside[row, at + 1] - widths[:, np.newaxis],
        slope[row, at],
        slope[row, at + 1],
    )
    return np.asarray((at + part) * spacing)


def _cubic_root(left: Float64, right: Float64, slope_left: Float64, slope_right: Float64) -> Float64:
    """Return where in [0, 1] the rising cubic with these values and slopes at its ends is 0, by bisection."""
    low, high = np.zeros(left.shape), np.ones(left.shape)
    for _ in range(30):
        t = 0.5 * (low + high)
        s = 1.0 - t
        value = left * s * s * (1.0 + 2.0 * t) + right * t * t * (3.0 - 2.0 * t)
        is_right: Bool = value + t * s * (s * slope_left - t * slope_right) > 0.0
        high, low = np.where(is_right, t, high), np.where(is_right, low, t)
    return 0.5 * (low + high)
