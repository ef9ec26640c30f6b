"""A fitted model as the store keeps it: parameters and provenance, no training data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """One version of one series' model.

    `parameters` is a JSON object that the forecast room reads and writes. `forecaster` is the name of the forecast
    that was best in the backtest and is drawn as yhat. `reason` says why (one sentence, for people).
    """

    series: int
    version: int
    created_unix_nano: int
    trained_start_unix_nano: int
    trained_end_unix_nano: int
    forecaster: str
    reason: str
    parameters: str
