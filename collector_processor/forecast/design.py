"""The basis x(t) that models of one design share: after its last changepoint, a forecast follows from theta and x(t).

x(t) is a constant, the days since a fixed reference, Prophet's own Fourier terms, and a column for every day around a
holiday or event. It is the same for all series of a design, so a whole fleet is evaluated as a few matrices of `theta`
rows times the x of a few distinct times. The arithmetic follows `prophet.Prophet.fourier_series` (and pandas'
`total_seconds`) operation by operation, because its arguments are large (10^5 radians) and another order of rounding
would show. The trend runs in real time, everything else on the clocks of the design's time zone.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Self, get_args

import numpy as np

from collector_processor.clock import DAY
from collector_processor.forecast.local_time import check_time_zone, wall_clock
from collector_processor.telemetry.points import Float64, Int64

REFERENCE_UNIX_NANO = 1_767_225_600_000_000_000
"""2026-01-01, where the trend's second column is 0: near the data, so that a steep trend keeps its digits."""

Growth = Literal["linear", "flat", "logistic"]
Mode = Literal["additive", "multiplicative"]


@dataclass(frozen=True, slots=True)
class Seasonality:
    """A Fourier series of `order` sine and cosine pairs over `period_days`; `prior_scale` is Prophet's."""

    name: str
    period_days: float
    order: int
    prior_scale: float = 10.0

    @property
    def width(self) -> int:
        """Return its number of columns."""
        return 2 * self.order

    def evaluate(self, wall_clock_nano: Int64) -> Float64:
        """Return the terms sin 1, cos 1, sin 2, cos 2, ... as `(n, 2 * order)`."""
        second, rest = np.divmod(wall_clock_nano, 1_000_000_000)
        days = (second + rest / 1_000_000_000) / (24 * 60 * 60)
        turns = np.pi * 2 * days
        terms = np.empty((wall_clock_nano.size, 2 * self.order))
        angle = np.arange(1, self.order + 1) / self.period_days * turns[:, np.newaxis]
        terms[:, ::2], terms[:, 1::2] = np.sin(angle), np.cos(angle)
        return terms


@dataclass(frozen=True, slots=True)
class Occasion:
    """A holiday or event: the calendar `days` it falls on (since 1970-01-01), and how many days around it count too.

    `lower_window` is 0 or negative, `upper_window` 0 or positive, as Prophet has it.
    """

    name: str
    days: tuple[int, ...]
    lower_window: int = 0
    upper_window: int = 0
    prior_scale: float = 10.0

    @property
    def offsets(self) -> list[int]:
        """Return the days around it, in the order of Prophet's columns: those of their texts `+0`, `+1`, `-1`."""
        return sorted(range(self.lower_window, self.upper_window + 1), key=lambda o: f"{'-' if o < 0 else '+'}{abs(o)}")

    @property
    def width(self) -> int:
        """Return its number of columns."""
        return self.upper_window - self.lower_window + 1

    def evaluate(self, wall_clock_nano: Int64) -> Float64:
        """Return 1 on the days of each offset, else 0, as `(n, width)`."""
        marks = np.zeros((wall_clock_nano.size, self.width))
        columns = _columns_by_day(self)
        days, row = np.unique(wall_clock_nano // DAY, return_inverse=True)
        for i, day in enumerate(days.tolist()):
            for column in columns.get(day, ()):
                marks[row == i, column] = 1.0
        return marks


Part = Seasonality | Occasion


@dataclass(frozen=True, slots=True)
class Design:
    """What models can be made of. Columns of x: 1, days since the reference, then each part in order.

    A part that a model does not have is zero in its theta. `cap` and `floor` are those of logistic growth.
    """

    seasonalities: tuple[Seasonality, ...]
    occasions: tuple[Occasion, ...] = ()
    time_zone: str = "UTC"
    growth: Growth = "linear"
    cap: float | None = None
    floor: float = 0.0
    mode: Mode = "additive"

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return seasonalities and occasions in the order of their columns."""
        return self.seasonalities + self.occasions

    @property
    def size(self) -> int:
        """Number of columns, P."""
        return 2 + sum(part.width for part in self.parts)

    def part(self, name: str) -> Part:
        """Return the seasonality or occasion of that name.

        Raises:
            KeyError: if the design has none.
        """
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)

    def columns(self, name: str) -> slice:
        """Return the columns of a part.

        Raises:
            KeyError: if the design has none of that name.
        """
        first = 2
        for part in self.parts:
            if part.name == name:
                return slice(first, first + part.width)
            first += part.width
        raise KeyError(name)

    def wall_clock(self, time_unix_nano: Int64) -> Int64:
        """Return what the clocks of the design show at UTC times `(n,)`."""
        return wall_clock(time_unix_nano, self.time_zone)

    def evaluate(self, time_unix_nano: Int64) -> Float64:
        """Return x(t) as `(n, P)`; pass distinct times, a row costs `P` sines."""
        days = (time_unix_nano - REFERENCE_UNIX_NANO) / DAY
        local = self.wall_clock(time_unix_nano)
        return np.column_stack([np.ones(time_unix_nano.size), days, *(part.evaluate(local) for part in self.parts)])

    def combine(self, theta: Float64, x: Float64) -> Float64:
        """Return yhat `(n,)` of theta `(n, P)` at x `(n, P)`, or at one x `(P,)` for all.

        The trend's two columns give its value, or under logistic growth what goes into the sigmoid. Seasonal terms are
        added to the trend, or are shares of it.
        """
        if self.growth != "logistic" and self.mode == "additive":
            return _row_products(theta, x)
        trend = self.saturated(_row_products(theta[..., :2], x[..., :2]))
        seasonal = _row_products(theta[..., 2:], x[..., 2:])
        return trend + seasonal if self.mode == "additive" else trend * (1.0 + seasonal)

    def saturated(self, level: Float64) -> Float64:
        """Return the trend from what its columns give."""
        if self.cap is None:
            return level
        with np.errstate(over="ignore"):
            return np.asarray(self.floor + (self.cap - self.floor) / (1.0 + np.exp(-level)))

    def description(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "seasonalities": [[s.name, s.period_days, s.order, s.prior_scale] for s in self.seasonalities],
            "occasions": [[o.name, o.days, o.lower_window, o.upper_window, o.prior_scale] for o in self.occasions],
            "time_zone": self.time_zone,
            "growth": self.growth,
            "cap": self.cap,
            "floor": self.floor,
            "mode": self.mode,
        }

    @classmethod
    def from_description(cls, found: dict[str, Any]) -> Self:
        """Rebuild an equal design.

        Raises:
            KeyError, TypeError, ValueError: if it is no such description.
        """
        check_time_zone(found["time_zone"])
        if found["growth"] not in get_args(Growth) or found["mode"] not in get_args(Mode):
            raise ValueError(f"no growth {found['growth']!r} and mode {found['mode']!r} are known")
        return cls(
            seasonalities=tuple(Seasonality(*seasonality) for seasonality in found["seasonalities"]),
            occasions=tuple(Occasion(name, tuple(days), *rest) for name, days, *rest in found["occasions"]),
            time_zone=found["time_zone"],
            growth=found["growth"],
            cap=None if found["cap"] is None else float(found["cap"]),
            floor=float(found["floor"]),
            mode=found["mode"],
        )


DEFAULT_DESIGN = Design((Seasonality("daily", 1, 4), Seasonality("weekly", 7, 3), Seasonality("yearly", 365.25, 10)))
"""Prophet's built-in seasonalities with its default orders."""


def _row_products(theta: Float64, x: Float64) -> Float64:
    """Multiply row by row, and not by `@`: there the last digit of a row depends on how many others there are."""
    return np.asarray(np.einsum("np,p->n" if x.ndim == 1 else "np,np->n", theta, x))


@lru_cache(maxsize=1024)
def _columns_by_day(occasion: Occasion) -> dict[int, list[int]]:
    """Return which columns are 1 on a day; two occurrences may share a day."""
    columns: dict[int, list[int]] = {}
    for column, offset in enumerate(occasion.offsets):
        for day in occasion.days:
            columns.setdefault(day + offset, []).append(column)
    return columns
