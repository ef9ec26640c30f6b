"""A forecast carries its times."""

from dataclasses import dataclass
from typing import Protocol

from collector_processor.telemetry.points import Float64, Int64


@dataclass(frozen=True, slots=True)
class Forecast:
    """Columns of equal length; NaN where nothing is forecast."""

    time_unix_nano: Int64
    yhat: Float64
    yhat_lower: Float64
    yhat_upper: Float64


class Fitted(Protocol):
    """What fitting gives: only a fitted series can predict."""

    def predict(self, time_unix_nano: Int64) -> Float64:
        """Return yhat `(n,)` at any times `(n,)`, history included."""
        ...

    def to_json(self) -> str:
        """Return the parameters as JSON, without training data."""
        ...


class Forecaster(Protocol):
    """A way to fit one series."""

    def fit(self, time_unix_nano: Int64, value: Float64) -> Fitted:
        """Fit ascending times `(n,)` and values `(n,)`; NaN and infinities are missing. Inputs are not modified.

        Raises:
            NotEnoughDataError: if the series cannot be fitted.
        """
        ...
