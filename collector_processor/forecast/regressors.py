"""What the series of a batch share: regressors on a regular grid, and where changepoints and seasonalities go.

The rules and the arithmetic are those of prophet 1.5 (`forecaster.py`), so that parameters fitted here mean the same
there:

    regressors = build_regressors(Grid(start_unix_nano, step_nano, size=2016), ProphetSettings())
"""

from dataclasses import dataclass, field

import numpy as np

from collector_processor.clock import DAY
from collector_processor.forecast.design import BASIS, Seasonality
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64


@dataclass(frozen=True, slots=True)
class Grid:
    """Regular times: `size` rows from `start_unix_nano`, `step_nano` apart."""

    start_unix_nano: int
    step_nano: int
    size: int

    def __post_init__(self) -> None:
        """Check that time moves forward.

        Raises:
            ValueError: if the step or the size is not positive.
        """
        if self.step_nano <= 0 or self.size <= 0:
            raise ValueError(f"a grid needs a positive step and size, got {self.step_nano} ns and {self.size}")

    def times(self) -> Int64:
        """Return the Unix nanoseconds of all rows `(size,)`."""
        return self.start_unix_nano + self.step_nano * np.arange(self.size, dtype=np.int64)

    def times_after(self, steps: int) -> Int64:
        """Return the `steps` times that follow the last row."""
        return self.start_unix_nano + self.step_nano * np.arange(self.size, self.size + steps, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Regressors:
    """What all series on one grid share; it equals only itself.

    `features (size, K)` holds the columns of `seasonalities` in Prophet's order: yearly, weekly, daily.
    `changepoint_rows[n]` lists the observed rows that carry changepoints when `n` rows are observed, -1 beyond.
    """

    grid: Grid
    settings: ProphetSettings
    seasonalities: tuple[Seasonality, ...]
    features: Float64 = field(repr=False)
    changepoint_rows: Int32 = field(repr=False)

    @property
    def widths(self) -> list[int]:
        """Return the number of feature columns of each seasonality."""
        return [2 * s.order for s in self.seasonalities]


def build_regressors(grid: Grid, settings: ProphetSettings) -> Regressors:
    """Prepare all that a batch on `grid` shares, with every seasonality that a series on it can have."""
    span = np.array([grid.step_nano * (grid.size - 1)], np.int64)
    spacing = np.array([grid.step_nano], np.int64)
    wanted = [s for s in reversed(BASIS.seasonalities) if is_enabled(s.name, settings, span, spacing)[0]]
    times = grid.times()
    features = np.hstack([np.empty((grid.size, 0)), *(s.evaluate(times) for s in wanted)])
    rows = changepoint_rows(grid.size, settings.n_changepoints, settings.changepoint_range)
    return Regressors(grid, settings, tuple(wanted), features, rows)


def is_enabled(name: str, settings: ProphetSettings, span_nano: Int64, spacing_nano: Int64) -> Bool:
    """Tell for series of the given spans and smallest spacings `(B,)` whether Prophet would use a seasonality.

    Left on "auto": yearly from 730 days; weekly from 14 days when points are less than 7 days apart; daily from 2 days
    when points are less than a day apart.
    """
    chosen = settings.seasonality(name)
    if chosen != "auto":
        return np.full(span_nano.size, bool(chosen))
    least_span, spacing_below = _AUTO_RULES[name]
    return (span_nano >= least_span) & (spacing_nano < spacing_below)


def changepoint_rows(max_rows: int, n_changepoints: int, changepoint_range: float) -> Int32:
    """Return Prophet's changepoint rows for every number of observed rows `(max_rows + 1, C)`, -1 beyond.

    Changepoints spread evenly over the first `changepoint_range` of the observed rows, without the first row; with
    too few rows there are fewer. Without any, Prophet fits one at the first row and folds it into the slope, hence
    `C >= 1`.
    """
    within = np.floor(np.arange(max_rows + 1) * changepoint_range)
    placed = np.clip(within - 1, 0, n_changepoints)[:, None]
    number = np.arange(1, max(1, n_changepoints) + 1)
    # numpy.linspace as Prophet calls it, for all counts at once: multiples of one step, the last one exact.
    rows = np.rint(number * ((within[:, None] - 1) / np.maximum(placed, 1)))
    rows = np.where(number == placed, within[:, None] - 1, rows)
    rows = np.where(number <= placed, rows, -1).astype(np.int32)
    rows[placed[:, 0] == 0, 0] = 0
    return rows


_AUTO_RULES = {
    "yearly": (730 * DAY, np.iinfo(np.int64).max),
    "weekly": (14 * DAY, 7 * DAY),
    "daily": (2 * DAY, DAY),
}
