"""A fitted Prophet as parameters only: 1 to 2 KB, no data frame, no library needed to predict."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from collector_processor.clock import DAY
from collector_processor.forecast.design import DEFAULT_DESIGN, REFERENCE_UNIX_NANO, Design
from collector_processor.telemetry.points import Float64, Int64

SMALLEST_DELTA = 1e-8
"""Prophet's own epsilon, added to the mean of |delta|."""


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
    """Prophet's model: `predict` equals `Prophet.predict(...).yhat` at any time.

    `k`, `m`, `delta` `(c,)` and `sigma_obs` are scaled as Prophet scales them: time to [0, 1] from `start_unix_nano`
    over `span_nano`, values by `y_offset` (under logistic growth the floor) and `y_scale`. `changepoint` `(c,)` is
    ascending scaled time. `beta` has the coefficients of those parts of the `design` that are in the model, in
    Prophet's order.
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
    design: Design = DEFAULT_DESIGN

    @property
    def trained_end_unix_nano(self) -> int:
        """Time of the last training point."""
        return self.start_unix_nano + self.span_nano

    @property
    def last_changepoint_unix_nano(self) -> int:
        """Time from which `theta` is valid."""
        return self.start_unix_nano + int(np.ceil(self.changepoint[-1] * self.span_nano))

    @property
    def last_trend(self) -> tuple[float, float]:
        """The first two of `theta`, level and slope of the trend."""
        level, slope, _ = self._level()
        return level, slope

    @property
    def trend_parameters(self) -> TrendParameters:
        """What the interval around the future trend is made of; none where it is flat, the tangent where logistic."""
        per_day = self.y_scale / (self.span_nano / DAY)
        sigma = self.sigma_obs * self.y_scale
        if self.design.growth == "flat":
            return TrendParameters(changepoint_rate=0.0, mean_delta=0.0, sigma=sigma)
        if self.design.cap is not None:
            per_day = self._steepness() / (self.span_nano / DAY)
        mean_delta = float(np.add.reduce(np.abs(self.delta))) / self.delta.size
        return TrendParameters(
            changepoint_rate=self.delta.size / (self.span_nano / DAY),
            mean_delta=(mean_delta + SMALLEST_DELTA) * per_day,
            sigma=sigma,
        )

    def predict(self, time_unix_nano: Int64) -> Float64:
        """Return yhat `(n,)` at any times `(n,)`, history included."""
        seasonal = np.zeros(time_unix_nano.size)
        local = self.design.wall_clock(time_unix_nano)
        for name, beta in self.beta.items():
            seasonal += self.design.part(name).evaluate(local) @ beta
        trend = self._trend(time_unix_nano)
        if self.design.mode == "multiplicative":
            return trend * (1.0 + seasonal)
        return trend + seasonal * self.y_scale

    def components(self, time_unix_nano: Int64) -> dict[str, Float64]:
        """Return what yhat is the sum of, in value units `(n,)` each: `trend`, and every part by its name."""
        trend = self._trend(time_unix_nano)
        unit = trend if self.design.mode == "multiplicative" else self.y_scale
        local = self.design.wall_clock(time_unix_nano)
        parts = {name: unit * (self.design.part(name).evaluate(local) @ beta) for name, beta in self.beta.items()}
        return {"trend": trend, **parts}

    def theta(self) -> Float64:
        """Return the row `(P,)` from which `design.combine` gives predict(t) from the last changepoint on."""
        level, slope, unit = self._level()
        absent: dict[str, Float64] = {}
        if len(self.beta) < len(self.design.parts):
            absent = {part.name: np.zeros(part.width) for part in self.design.parts}
        betas = absent | self.beta
        return np.concatenate([(level, slope), *(unit * betas[part.name] for part in self.design.parts)])

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
            **({} if self.design == DEFAULT_DESIGN else {"design": self.design.description()}),
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
            design=Design.from_description(parameters["design"]) if "design" in parameters else DEFAULT_DESIGN,
        )
        fitted.check()
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
        if self.design.cap is not None:
            return self.design.saturated(k[passed] * (t - self._logistic_offsets()[passed]))
        m = self.m - np.concatenate([[0.0], np.cumsum(self.delta * self.changepoint)])
        return np.asarray((k[passed] * t + m[passed]) * self.y_scale + self.y_offset)

    def _logistic_offsets(self) -> Float64:
        """Return Prophet's offset after each changepoint `(c + 1,)`, which keeps the curve in one piece."""
        k = self.k + np.concatenate([[0.0], np.cumsum(self.delta)])
        m = np.full(k.size, self.m)
        for i, at in enumerate(self.changepoint):
            m[i + 1] = m[i] + (at - m[i]) * (1.0 - k[i] / k[i + 1])
        return m

    def _level(self) -> tuple[float, float, float]:
        """Return the two coefficients of the trend after the last changepoint, and the unit of beta."""
        k, reference = (
            self.k + float(np.add.reduce(self.delta)),
            (REFERENCE_UNIX_NANO - self.start_unix_nano) / self.span_nano,
        )
        unit = self.y_scale if self.design.mode == "additive" else 1.0
        if self.design.cap is not None:
            return k * (reference - float(self._logistic_offsets()[-1])), k / (self.span_nano / DAY), unit
        m = self.m - float(self.delta @ self.changepoint)
        level = self.y_offset + self.y_scale * (m + k * reference)
        return level, self.y_scale * k / (self.span_nano / DAY), unit

    def _steepness(self) -> float:
        """Return how much the logistic trend at the end of training gains per unit of its sigmoid's argument."""
        assert self.design.cap is not None
        height = self.design.cap - self.design.floor
        share = (float(self._trend(np.array([self.trained_end_unix_nano]))[0]) - self.design.floor) / height
        return height * share * (1.0 - share)

    def check(self) -> None:
        """Check that the parameters belong together.

        Raises:
            KeyError, ValueError: if they do not.
        """
        if self.span_nano <= 0:
            raise ValueError(f"span_nano is {self.span_nano}, not positive")
        if self.delta.ndim != 1 or self.delta.size == 0 or self.delta.shape != self.changepoint.shape:
            raise ValueError(f"delta {self.delta.shape} and changepoint {self.changepoint.shape} do not match")
        for name, beta in self.beta.items():
            if beta.shape != (self.design.part(name).width,):
                raise ValueError(f"{name} has {beta.shape} coefficients")
        scalars = [self.k, self.m, self.y_scale, self.y_offset, self.sigma_obs]
        if not np.isfinite(np.concatenate([scalars, self.delta, self.changepoint, *self.beta.values()])).all():
            raise ValueError("a parameter is not finite")
