"""Prophet's settings under Prophet's own names, and what it lacks: a mask for outliers, a time zone, a calendar."""

from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Literal

from collector_processor.forecast.calendar import Calendar
from collector_processor.forecast.design import Growth, Mode, Seasonality
from collector_processor.forecast.maintenance import Maintenance

Auto = Literal["auto"] | bool | int
"""Prophet's seasonality argument: its own rule, on or off, or on with that order."""


@dataclass(frozen=True, slots=True)
class ProphetSettings:
    """Prophet's defaults, but scaled by the range of the values.

    With Prophet's default 'absmax' a series of 1e9 +- 1 gets a sigma 60 times too wide. `mask_passes` times, points
    further than `mask_mads` median absolute deviations from the fit are left out and the rest fitted anew, because one
    spike widens the whole window; 0 passes is Prophet as it is. `seasonalities` come on top of the built-in ones, of
    which `hourly` is our own. `cap` and `floor` belong to logistic growth.
    """

    n_changepoints: int = 25
    changepoint_range: float = 0.8
    changepoint_prior_scale: float = 0.05
    seasonality_prior_scale: float = 10.0
    holidays_prior_scale: float = 10.0
    yearly_seasonality: Auto = "auto"
    weekly_seasonality: Auto = "auto"
    daily_seasonality: Auto = "auto"
    hourly_seasonality: Auto = False
    seasonalities: tuple[Seasonality, ...] = ()
    growth: Growth = "linear"
    cap: float | None = None
    floor: float = 0.0
    seasonality_mode: Mode = "additive"
    time_zone: str = "UTC"
    calendar: Calendar = field(default_factory=Calendar)
    maintenance: Maintenance = field(default_factory=Maintenance)
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
        if not min(self.changepoint_prior_scale, self.seasonality_prior_scale, self.holidays_prior_scale) > 0.0:
            raise ValueError(f"prior scales of changepoints, seasonality and holidays must be positive: {self}")
        if self.mask_passes < 0 or not self.mask_mads > 0.0:
            raise ValueError(f"mask needs passes >= 0 and mads > 0, got {self.mask_passes} and {self.mask_mads}")
        self._check_growth()

    def _check_growth(self) -> None:
        if (self.growth == "logistic") != (self.cap is not None):
            raise ValueError(f"cap belongs to logistic growth, and that to a cap: {self.growth} with {self.cap}")
        if self.cap is not None and not self.cap > self.floor:
            raise ValueError(f"cap must be greater than floor, got {self.cap} and {self.floor}")
        if self.scaling == "minmax" and (self.growth == "logistic" or self.seasonality_mode == "multiplicative"):
            raise ValueError(
                "scaled by its range, Prophet predicts another logistic or multiplicative model than it fits"
            )
        if self.floor and self.seasonality_mode == "multiplicative":
            raise ValueError("above a floor, Prophet predicts other multiplicative values than it fits")

    @property
    def declined(self) -> str:
        """Return why the batched solver leaves such a model to the prophet library, empty where it does not."""
        if self.growth == "logistic":
            return "logistic growth"
        return "multiplicative seasonality" if self.seasonality_mode == "multiplicative" else ""

    @property
    def fingerprint(self) -> str:
        """Return a text that changes when a setting does; empty for the defaults."""
        return _fingerprint(self)

    def seasonality(self, name: str) -> Auto:
        """Return what is set for a seasonality; those that were added are always on."""
        if any(added.name == name for added in self.seasonalities):
            return True
        chosen: Auto = getattr(self, f"{name}_seasonality")
        return chosen

    def changed(self) -> dict[str, Any]:
        """Return as JSON values what differs from the defaults and is not part of a design: enough for an export."""
        default = ProphetSettings()
        names = [f.name for f in fields(self) if f.name not in _PART_OF_DESIGN]
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(default, name)}


_PART_OF_DESIGN = {
    "seasonalities",
    "growth",
    "cap",
    "floor",
    "seasonality_mode",
    "time_zone",
    "calendar",
    "maintenance",
}


@lru_cache(maxsize=1024)
def _fingerprint(settings: ProphetSettings) -> str:
    if settings == ProphetSettings():
        return ""
    return blake2b(repr(sorted(asdict(settings).items())).encode(), digest_size=8).hexdigest()
