"""The basis x(t) that every Prophet model shares: after its last changepoint, yhat(t) = theta . x(t).

x(t) is a constant, the days since a fixed reference, and Prophet's own Fourier terms for day, week and year. It is the
same for all series, so a whole fleet is evaluated as one matrix of `theta` rows times the x of a few distinct times.
The arithmetic follows `prophet.Prophet.fourier_series` (and pandas' `total_seconds`) operation by operation, because
its arguments are large (10^5 radians) and another order of rounding would show.
"""

from dataclasses import dataclass

import numpy as np

from collector_processor.clock import DAY
from collector_processor.telemetry.points import Float64, Int64


@dataclass(frozen=True, slots=True)
class Seasonality:
    """A Fourier series of `order` sine and cosine pairs over `period_days`."""

    name: str
    period_days: float
    order: int

    def evaluate(self, time_unix_nano: Int64) -> Float64:
        """Return the terms sin 1, cos 1, sin 2, cos 2, ... as `(n, 2 * order)`."""
        second, rest = np.divmod(time_unix_nano, 1_000_000_000)
        days = (second + rest / 1_000_000_000) / (24 * 60 * 60)
        turns = np.pi * 2 * days
        terms = np.empty((time_unix_nano.size, 2 * self.order))
        for i in range(self.order):
            angle = (i + 1) / self.period_days * turns
            terms[:, 2 * i] = np.sin(angle)
            terms[:, 2 * i + 1] = np.cos(angle)
        return terms


@dataclass(frozen=True, slots=True)
class Basis:
    """Columns: 1, days since `reference_unix_nano`, then each seasonality in order."""

    reference_unix_nano: int
    seasonalities: tuple[Seasonality, ...]

    @property
    def size(self) -> int:
        """Number of columns, P."""
        return 2 + sum(2 * s.order for s in self.seasonalities)

    def seasonality(self, name: str) -> Seasonality:
        """Return the seasonality of that name.

        Raises:
            KeyError: if the basis has none.
        """
        for seasonality in self.seasonalities:
            if seasonality.name == name:
                return seasonality
        raise KeyError(name)

    def columns(self, name: str) -> slice:
        """Return the columns of a seasonality.

        Raises:
            KeyError: if the basis has none of that name.
        """
        first = 2
        for seasonality in self.seasonalities:
            if seasonality.name == name:
                return slice(first, first + 2 * seasonality.order)
            first += 2 * seasonality.order
        raise KeyError(name)

    def evaluate(self, time_unix_nano: Int64) -> Float64:
        """Return x(t) as `(n, P)`; pass distinct times, a row costs `P` sines."""
        days = (time_unix_nano - self.reference_unix_nano) / DAY
        terms = [s.evaluate(time_unix_nano) for s in self.seasonalities]
        return np.column_stack([np.ones(time_unix_nano.size), days, *terms])


BASIS = Basis(
    reference_unix_nano=1_767_225_600_000_000_000,  # 2026-01-01: near the data, so that a steep trend keeps its digits
    seasonalities=(Seasonality("daily", 1, 4), Seasonality("weekly", 7, 3), Seasonality("yearly", 365.25, 10)),
)
"""Prophet's built-in seasonalities with its default orders."""
