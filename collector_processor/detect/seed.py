"""What a backtest hands over with a model: the calibration that a live series would have after the same residuals."""

import base64
import json
import zlib
from dataclasses import dataclass

import numpy as np

from collector_processor.detect import calibrate, past_maxima, record, threshold
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.points import Float64, Int64

_VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class Seed:
    """Calibration of one series: `maxima` one record, `trackers` one per forecast, `std` of the series' values."""

    maxima: record.Records
    trackers: record.Records
    std: float

    def to_json(self) -> str:
        """Encode as one JSON object of about a kilobyte."""
        return json.dumps(
            {
                "maxima": _packed(record.encode(self.maxima, _VERSION)),
                "trackers": _packed(record.encode(self.trackers, _VERSION)),
                "std": self.std,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Seed":
        """Decode what `to_json` wrote.

        Raises:
            ValueError: if it is something else or of another version.
        """
        try:
            fields = json.loads(text)
            return cls(
                record.decode(_unpacked(fields["maxima"]), threshold.DTYPE, _VERSION),
                record.decode(_unpacked(fields["trackers"]), calibrate.DTYPE, _VERSION),
                float(fields["std"]),
            )
        except (KeyError, TypeError, zlib.error) as error:
            raise ValueError(f"not a calibration seed: {error!r}") from error


def seed_from_residuals(time_unix_nano: Int64, residual: Float64, std: float) -> Seed:
    """Build the calibration of one series from out-of-sample residuals `(n, F)` at ascending times `(n,)`.

    NaN and infinite residuals are missing. `std` is the standard deviation of the series' values.

    Raises:
        ValueError: if times do not ascend strictly, shapes differ, or `std` is negative or not finite.
    """
    if residual.shape != (time_unix_nano.size, len(FORECASTS)):
        raise ValueError(f"residuals {residual.shape} for {time_unix_nano.size} times, {len(FORECASTS)} forecasts")
    if (np.diff(time_unix_nano) <= 0).any():
        raise ValueError("times of residuals must ascend strictly")
    if not 0.0 <= std < np.inf:
        raise ValueError(f"the standard deviation of a series cannot be {std}")
    finite = np.where(np.isfinite(residual), residual, np.nan)
    trackers = [calibrate.seeded(column) for column in finite.T]
    return Seed(past_maxima.seeded(time_unix_nano, np.abs(finite)), np.concatenate(trackers), std)


def _packed(blob: bytes) -> str:
    return base64.b64encode(zlib.compress(blob, 9)).decode()


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))
