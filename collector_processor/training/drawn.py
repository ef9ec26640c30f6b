"""What the newest model of each series chose: carried over to refits without a backtest."""

from collections import Counter
from dataclasses import dataclass
from sys import intern
from typing import Any

import numpy as np
import orjson

from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Bool


@dataclass(frozen=True, slots=True)
class Drawn:
    """The forecast that is drawn, what the backtest behind it said, and whose settings the model has.

    `said` is JSON, empty without a backtest: as objects it would take twice the memory, and it is rarely asked for.
    """

    forecaster: str
    said: str = ""
    fingerprint: str = ""

    @classmethod
    def by(cls, forecaster: str, backtest: dict[str, Any] | None, fingerprint: str = "") -> "Drawn":
        """Return the choice of a backtest, None where there was none."""
        said = "" if backtest is None else orjson.dumps(backtest).decode()
        return cls(intern(forecaster), said, intern(fingerprint))

    @classmethod
    def of(cls, record: ModelRecord) -> "Drawn | None":
        """Return what a stored model chose, None if it can't be read."""
        try:
            said = orjson.loads(record.provenance)
            found = said["backtest"]
            if found is not None:
                found = {**found, "end_unix_nano": int(found["end_unix_nano"]), "reason": str(found["reason"])}
        except (KeyError, TypeError, ValueError):
            return None
        return cls.by(record.forecaster, found, str(said.get("fingerprint", "")))

    @property
    def backtest(self) -> dict[str, Any] | None:
        """Return what the backtest said."""
        found: dict[str, Any] | None = orjson.loads(self.said) if self.said else None
        return found


class DrawnForecasts:
    """By dense series id; counts are kept, because they are asked for far more often than anything changes."""

    def __init__(self) -> None:
        self._by_series: dict[int, Drawn] = {}
        self._counts: Counter[str] = Counter()

    def __contains__(self, series: int) -> bool:
        return series in self._by_series

    def get(self, series: int) -> Drawn:
        """Return what was chosen, the seasonal forecast where nothing was yet."""
        return self._by_series.get(series, _NOTHING_CHOSEN)

    def put(self, series: int, drawn: Drawn) -> None:
        """Take note of a newer model."""
        if series in self._by_series:
            self._counts[self._by_series[series].forecaster] -= 1
        self._counts[drawn.forecaster] += 1
        self._by_series[series] = drawn

    def drop(self, is_gone: Bool) -> list[int]:
        """Forget which series had a model where `is_gone` `(S,)` says so; return those that had."""
        gone = [series for series in np.flatnonzero(is_gone).tolist() if series in self._by_series]
        for series in gone:
            self._counts[self._by_series.pop(series).forecaster] -= 1
        return gone

    def counts(self) -> dict[str, int]:
        """Return the number of series by the forecast that is drawn."""
        return {forecaster: count for forecaster, count in self._counts.items() if count}


_NOTHING_CHOSEN = Drawn("seasonal")
