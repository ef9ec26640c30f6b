"""Functions of one value at a time."""

from collections.abc import Callable

import numpy as np

from collector_processor.telemetry.points import Float64


def rounded(value: Float64, to: Float64) -> Float64:
    """Return the nearest multiple of `to`, ties up."""
    inverse = 1.0 / to
    return np.asarray(np.floor(value * inverse + 0.5) / inverse)


def sign(value: Float64) -> Float64:
    """Return 1 or -1, and zero and NaN as they are."""
    return np.where(value > 0, 1.0, np.where(value < 0, -1.0, value))


def at_least(value: Float64, bound: Float64) -> Float64:
    """Return the larger, as Go does: +Inf wins over NaN, NaN over the rest."""
    return np.where(np.isposinf(value) | np.isposinf(bound), np.inf, np.maximum(value, bound))


def at_most(value: Float64, bound: Float64) -> Float64:
    """Return the smaller, as Go does: -Inf wins over NaN, NaN over the rest."""
    return np.where(np.isneginf(value) | np.isneginf(bound), -np.inf, np.minimum(value, bound))


UNARY: dict[str, Callable[[Float64], Float64]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": np.exp,
    "ln": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "sgn": sign,
    "deg": lambda value: value * 180.0 / np.pi,
    "rad": lambda value: value * np.pi / 180.0,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
}
