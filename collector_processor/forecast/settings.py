"""Prophet's settings under Prophet's own names, and the mask for outliers that Prophet lacks."""

from dataclasses import dataclass
from typing import Literal

Auto = Literal["auto"] | bool
"""Prophet's seasonality argument: its own rule, on or off."""


@dataclass(frozen=True, slots=True)
class ProphetSettings:
    """Prophet's defaults, but scaled by the range of the values.

    With Prophet's default 'absmax' a series of 1e9 +- 1 gets a sigma 60 times too wide. `mask_passes` times, points
    further than `mask_mads` median absolute deviations from the fit are left out and the rest fitted anew, because one
    spike widens the whole window; 0 passes is Prophet as it is.
    """

    n_changepoints: int = 25
    changepoint_range: float = 0.8
    changepoint_prior_scale: float = 0.05
    seasonality_prior_scale: float = 10.0
    yearly_seasonality: Auto = "auto"
    weekly_seasonality: Auto = "auto"
    daily_seasonality: Auto = "auto"
    scaling: Literal["absmax", "minmax"] = "minmax"
    mask_passes: int = 3
    mask_mads: float = 4.0

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ValueError: naming the setting that is out of range.
        """
        if self.n_changepoints < 0:
            raise ValueError(f"n_changepoints must not be negative, got {self.n_changepoints}")
        if not 0.0 <= self.changepoint_range <= 1.0:
            raise ValueError(f"changepoint_range must lie in [0, 1], got {self.changepoint_range}")
        if not min(self.changepoint_prior_scale, self.seasonality_prior_scale) > 0.0:
            raise ValueError(f"changepoint_prior_scale and seasonality_prior_scale must be positive: {self}")
        if self.mask_passes < 0 or not self.mask_mads > 0.0:
            raise ValueError(f"mask needs passes >= 0 and mads > 0, got {self.mask_passes} and {self.mask_mads}")

    def seasonality(self, name: str) -> Auto:
        """Return what is set for a built-in seasonality: 'yearly', 'weekly' or 'daily'."""
        chosen: Auto = getattr(self, f"{name}_seasonality")
        return chosen
