"""What the series of a batch share: regressors on a regular grid, and where changepoints and seasonalities go.

The rules and the arithmetic are those of prophet 1.5 (`forecaster.py`), so that parameters fitted here mean the same
there:

    regressors = build_regressors(Grid(start_unix_nano, step_nano, size=2016), ProphetSettings())
"""

from dataclasses import dataclass, field, replace

import numpy as np

from collector_processor.clock import DAY, HOUR
from collector_processor.forecast.design import DEFAULT_DESIGN, Design, Occasion, Part, Seasonality
from collector_processor.forecast.local_time import wall_clock, year_of
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64

HOURLY = Seasonality("hourly", 1 / 24, 3)
"""What Prophet has no name for, but telemetry has: jobs that run every hour, quarter or five minutes past."""

YEARS_AHEAD = 2
"""So many years after the history, the days of holidays and events are still known."""


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

    `features (size, K)` holds the columns of `parts` in Prophet's order: seasonalities of one's own, yearly, weekly,
    daily, then holidays and events. `changepoint_rows[n]` lists the observed rows that carry changepoints when `n` rows
    are observed, -1 beyond.
    """

    grid: Grid
    settings: ProphetSettings
    design: Design
    parts: tuple[Part, ...]
    features: Float64 = field(repr=False)
    changepoint_rows: Int32 = field(repr=False)

    @property
    def widths(self) -> list[int]:
        """Return the number of feature columns of each part."""
        return [part.width for part in self.parts]


def build_regressors(grid: Grid, settings: ProphetSettings) -> Regressors:
    """Prepare all that a batch on `grid` shares, with everything that a series on it can have."""
    span = np.array([grid.step_nano * (grid.size - 1)], np.int64)
    spacing = np.array([grid.step_nano], np.int64)
    times = grid.times()
    design = design_for(settings, times)
    parts: list[Part] = [s for s in _in_order(design) if is_enabled(s, settings, span, spacing)[0]]
    parts += design.occasions
    local = design.wall_clock(times)
    features = np.hstack([np.empty((grid.size, 0)), *(part.evaluate(local) for part in parts)])
    if settings.growth == "flat":
        rows = np.full((grid.size + 1, 1), -1, np.int32)
    else:
        rows = changepoint_rows(grid.size, settings.n_changepoints, settings.changepoint_range)
    return Regressors(grid, settings, design, tuple(parts), features, rows)


def design_for(settings: ProphetSettings, time_unix_nano: Int64) -> Design:
    """Return the design of a model of these settings with a history at ascending times `(n,)`.

    A holiday or event is part of it when the history has seen it; of those, the days until two years later are known.
    """
    built_in = [_as_set(s, settings) for s in (*DEFAULT_DESIGN.seasonalities, HOURLY)]
    if not settings.hourly_seasonality:
        built_in.pop()
    return Design(
        seasonalities=(*built_in, *settings.seasonalities),
        occasions=_seen(settings, time_unix_nano),
        time_zone=settings.time_zone,
        growth=settings.growth,
        cap=settings.cap,
        floor=settings.floor,
        mode=settings.seasonality_mode,
    )


def _as_set(seasonality: Seasonality, settings: ProphetSettings) -> Seasonality:
    """Return a built-in seasonality with the order and the prior that are set."""
    chosen = settings.seasonality(seasonality.name)
    order = seasonality.order if isinstance(chosen, str | bool) else chosen
    return replace(seasonality, order=order, prior_scale=settings.seasonality_prior_scale)


def _in_order(design: Design) -> list[Seasonality]:
    """Return the seasonalities in Prophet's order: those it was given, then yearly, weekly, daily."""
    last = ("yearly", "weekly", "daily")
    added = [s for s in design.seasonalities if s.name not in last]
    return added + sorted((s for s in design.seasonalities if s.name in last), key=lambda s: last.index(s.name))


def _seen(settings: ProphetSettings, time_unix_nano: Int64) -> tuple[Occasion, ...]:
    first, last = int(time_unix_nano[0]), int(time_unix_nano[-1])
    occasions = settings.calendar.occasions(
        year_of(first) - 1, year_of(last) + YEARS_AHEAD, settings.time_zone, settings.holidays_prior_scale
    )
    if not occasions:
        return ()
    days = np.unique(wall_clock(time_unix_nano, settings.time_zone) // DAY)
    return tuple(occasion for occasion in occasions if occasion.evaluate(days * DAY).any())


def is_enabled(seasonality: Seasonality, settings: ProphetSettings, span_nano: Int64, spacing_nano: Int64) -> Bool:
    """Tell for series of the given spans and smallest spacings `(B,)` whether Prophet would use a seasonality.

    Left on "auto": yearly from 730 days; weekly from 14 days when points are less than 7 days apart; daily from 2 days
    when points are less than a day apart; hourly, by the same measure, from 2 hours when they are less than an hour
    apart.
    """
    chosen = settings.seasonality(seasonality.name)
    if chosen != "auto":
        return np.full(span_nano.size, bool(chosen))
    least_span, spacing_below = _AUTO_RULES[seasonality.name]
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
    "hourly": (2 * HOUR, HOUR),
}
