"""A fitted Prophet as parameters only: 1 to 2 KB, no data frame, no library needed to predict."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from collector_processor.clock import DAY
from collector_processor.forecast.design import BASIS
from collector_processor.telemetry.points import Float64, Int64


@dataclass(frozen=True, slots=True)
class TrendParameters:
    """What the trend's uncertainty grows from, in value units and days after the end of training.

    Prophet lets the future change slope `changepoint_rate` times a day by a Laplace amount of scale `mean_delta` (value
    units a day, each); around it lies noise of standard deviation `sigma`.
    """

    changepoint_rate: float
    mean_delta: float
    sigma: float


@dataclass(frozen=True, slots=True, eq=False)
class FittedProphet:
    """Prophet's additive model with linear growth: `predict` equals `Prophet.predict(...).yhat` at any time.

    `k`, `m`, `delta` `(c,)` and `sigma_obs` are scaled as Prophet scales them: time to [0, 1] from `start_unix_nano`
    over `span_nano`, values by `y_offset` and `y_scale`. `changepoint` `(c,)` is ascending scaled time. `beta` has the
    Fourier coefficients of the seasonalities that are in the model.
    """

    start_unix_nano: int
    span_nano: int
    k: float
    m: float
    delta: Float64
    changepoint: Float64
    beta: dict[str, Float64]
    y_scale: float
    y_offset: float
    sigma_obs: float

    @property
    def trained_end_unix_nano(self) -> int:
        """Time of the last training point."""
        return self.start_unix_nano + self.span_nano

    @property
    def last_changepoint_unix_nano(self) -> int:
        """Time from which `theta` is valid."""
        return self.start_unix_nano + int(np.ceil(self.changepoint[-1] * self.span_nano))

    @property
    def trend_parameters(self) -> TrendParameters:
        """What the interval around the future trend is made of."""
        per_day = self.y_scale / (self.span_nano / DAY)
        return TrendParameters(
            changepoint_rate=self.delta.size / (self.span_nano / DAY),
            mean_delta=(float(np.mean(np.abs(self.delta))) + 1e-8) * per_day,  # 1e-8 is Prophet's own epsilon
            sigma=self.sigma_obs * self.y_scale,
        )

    def predict(self, time_unix_nano: Int64) -> Float64:
        """Return yhat `(n,)` at any times `(n,)`, history included."""
        seasonal = np.zeros(time_unix_nano.size)
        for name, beta in self.beta.items():
            seasonal += BASIS.seasonality(name).evaluate(time_unix_nano) @ beta
        return self._trend(time_unix_nano) * self.y_scale + self.y_offset + seasonal * self.y_scale

    def theta(self) -> Float64:
        """Return the row `(P,)` with `theta . x(t) = predict(t)` from the last changepoint on."""
        k, m = self.k + self.delta.sum(), self.m - self.delta @ self.changepoint
        row = np.zeros(BASIS.size)
        row[0] = self.y_offset + self.y_scale * (m + k * self._scaled_reference())
        row[1] = self.y_scale * k / (self.span_nano / DAY)
        for name, beta in self.beta.items():
            row[BASIS.columns(name)] = self.y_scale * beta
        return row

    def parameters(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "start_unix_nano": self.start_unix_nano,
            "span_nano": self.span_nano,
            "k": self.k,
            "m": self.m,
            "delta": self.delta.tolist(),
            "changepoint": self.changepoint.tolist(),
            "beta": {name: beta.tolist() for name, beta in self.beta.items()},
            "y_scale": self.y_scale,
            "y_offset": self.y_offset,
            "sigma_obs": self.sigma_obs,
        }

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> "FittedProphet":
        """Rebuild exactly what `parameters` described.

        Raises:
            KeyError, TypeError, ValueError: if it is no such description.
        """
        fitted = cls(
            start_unix_nano=int(parameters["start_unix_nano"]),
            span_nano=int(parameters["span_nano"]),
            k=float(parameters["k"]),
            m=float(parameters["m"]),
            delta=np.array(parameters["delta"], np.float64),
            changepoint=np.array(parameters["changepoint"], np.float64),
            beta={name: np.array(beta, np.float64) for name, beta in parameters["beta"].items()},
            y_scale=float(parameters["y_scale"]),
            y_offset=float(parameters["y_offset"]),
            sigma_obs=float(parameters["sigma_obs"]),
        )
        fitted._check()
        return fitted

    def to_json(self) -> str:
        """Return the parameters as JSON, without training data."""
        return json.dumps(self.parameters(), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "FittedProphet":
        """Read what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: if the text is no such JSON.
        """
        return cls.from_parameters(json.loads(text))

    def _trend(self, time_unix_nano: Int64) -> Float64:
        t = (time_unix_nano - self.start_unix_nano) / self.span_nano
        passed = np.searchsorted(self.changepoint, t, side="right")
        k = self.k + np.concatenate([[0.0], np.cumsum(self.delta)])
        m = self.m - np.concatenate([[0.0], np.cumsum(self.delta * self.changepoint)])
        return np.asarray(k[passed] * t + m[passed])

    def _scaled_reference(self) -> float:
        return (BASIS.reference_unix_nano - self.start_unix_nano) / self.span_nano

    def _check(self) -> None:
        if self.span_nano <= 0:
            raise ValueError(f"span_nano is {self.span_nano}, not positive")
        if self.delta.ndim != 1 or self.delta.size == 0 or self.delta.shape != self.changepoint.shape:
            raise ValueError(f"delta {self.delta.shape} and changepoint {self.changepoint.shape} do not match")
        for name, beta in self.beta.items():
            if beta.shape != (2 * BASIS.seasonality(name).order,):
                raise ValueError(f"seasonality {name} has {beta.shape} coefficients")
        scalars = [self.k, self.m, self.y_scale, self.y_offset, self.sigma_obs]
        if not np.isfinite(np.concatenate([scalars, self.delta, self.changepoint, *self.beta.values()])).all():
            raise ValueError("a parameter is not finite")
