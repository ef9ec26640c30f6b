"""What a fit comes to: the forecast that is drawn, the reason, and the record that the store keeps."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson

from collector_processor.forecast.backtest import Backtest
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.telemetry.band import FORECASTS, LEVEL
from collector_processor.training.request import FitOutcome, FitRequest, FitStatus, Solver


@dataclass(frozen=True, slots=True)
class Choice:
    """Which forecast is drawn, why, and what the backtest said."""

    forecaster: str
    reason: str
    backtest: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Fit:
    """What one fit found: the model's parameters, the times of the first and last point, and who fitted Prophet."""

    parameters: bytes
    first_time: int
    last_time: int
    choice: Choice
    solver: Solver
    declined: str


def provenance_of(settings: ProphetSettings) -> dict[str, Any]:
    """Return what is said of the settings of a fit."""
    if not settings.fingerprint:
        return {}
    return {"fingerprint": settings.fingerprint, "settings": settings.changed()}


def outcome_of(request: FitRequest, fit: Fit, provenance: dict[str, Any]) -> FitOutcome:
    """Return a fit as finished."""
    choice = fit.choice
    if fit.solver is Solver.NONE and not request.is_first:
        choice = replace(choice, forecaster="seasonal", reason="Prophet can't be fitted to so few points")
    return FitOutcome(
        request,
        FitStatus.FITTED,
        choice.reason,
        forecaster=choice.forecaster,
        parameters=fit.parameters,
        provenance=orjson.dumps({"backtest": choice.backtest, **provenance}).decode(),
        backtest=choice.backtest,
        trained_start_unix_nano=fit.first_time,
        trained_end_unix_nano=fit.last_time,
        solver=fit.solver,
        declined=fit.declined,
    )


def nothing_to_fit(request: FitRequest) -> FitOutcome:
    """Return the outcome for a series without a finite point."""
    return FitOutcome(request, FitStatus.NOT_ENOUGH_DATA, "there is no finite value in the window")


def keep(request: FitRequest) -> Choice:
    """Go on with what the last backtest chose."""
    if request.backtest is None:
        return Choice("seasonal", "not backtested yet: that takes two days of history", None)
    return Choice(request.forecaster, str(request.backtest["reason"]), request.backtest)


def choose(tested: Backtest, end: int) -> Choice:
    """Draw what missed by least, of a history that ends at `end`."""
    prophet, seasonal, recent = (float(error) for error in tested.mean_absolute_error())
    better = "recent" if recent < seasonal else "seasonal"
    better = "prophet" if prophet < min(seasonal, recent) else better  # not where Prophet has none: NaN is not less
    reason = (
        f"one day ahead, from {tested.origins} origins, Prophet missed by {prophet:.3g} on average, "
        f"the median of the day by {seasonal:.3g}, that of the last three days by {recent:.3g}"
    )
    error = dict(zip(FORECASTS[:LEVEL], map(_or_none, (prophet, seasonal, recent)), strict=True))
    return Choice(
        better,
        reason,
        {"end_unix_nano": end, "origins": tested.origins, "mean_absolute_error": error, "reason": reason},
    )


def _or_none(number: float) -> float | None:
    return number if np.isfinite(number) else None
