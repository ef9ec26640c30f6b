"""A fitted model as the store keeps it: parameters and provenance, no training data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """One version of one series' model.

    `parameters` are the numbers, which the forecast room packs and unpacks; empty where they can't be read any more.
    `forecaster` is the name of the forecast that was best in the backtest and is drawn as yhat. `reason` says why (one
    sentence, for people). `provenance` is a JSON object of the training room: the backtest, and changed settings.
    """

    series: int
    version: int
    created_unix_nano: int
    trained_start_unix_nano: int
    trained_end_unix_nano: int
    forecaster: str
    reason: str
    parameters: bytes
    provenance: str = "{}"
