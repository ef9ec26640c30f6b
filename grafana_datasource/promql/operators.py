"""Arithmetic and comparison between numbers."""

import operator
from collections.abc import Callable

import numpy as np

from collector_processor.telemetry.points import Float64

ARITHMETIC: dict[str, Callable[[Float64, Float64], Float64]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}

COMPARISONS: dict[str, Callable[[Float64, Float64], Float64]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}

SET_OPERATORS = ("and", "or", "unless")


def drops_name(symbol: str) -> bool:
    """Tell whether results lose their metric name: in Prometheus 2 `atan2` keeps it."""
    return symbol in ARITHMETIC and symbol != "atan2"
