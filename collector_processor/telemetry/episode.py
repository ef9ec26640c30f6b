"""An episode: the stretch of time in which one series was anomalous; what alerts and annotations are made of."""

from dataclasses import dataclass

from collector_processor.clock import HOUR

DEVIATION = "deviation"
LEVEL_SHIFT = "level_shift"
DRIFT = "drift"
SILENCE = "silence"

MUTED_AFTER = 8 * HOUR
"""An episode that has not become worse for this long is known by now."""

FLAPPING_FROM = 4
"""An episode with this many onsets is flapping."""


@dataclass(frozen=True, slots=True)
class Onset:
    """What an episode's first point was judged by, kept with the episode because models and bands are not.

    `forecasts` and `tolerance` are by name, of those that existed: what each expected then, and how far the series
    usually strays from it. A value was anomalous where these, combined, put it beyond `threshold`. `parts` is what
    Prophet's forecast was the sum of. `reason` says why `forecaster` was the one drawn.
    """

    model_version: int
    forecaster: str
    reason: str
    forecasts: dict[str, float]
    tolerance: dict[str, float]
    threshold: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Shift:
    """A level that a series has settled at: what was expected `before`, what it is `after`.

    It is the new normal from `adopted_unix_nano` on, unless the series returns before.
    """

    before: float
    after: float
    adopted_unix_nano: int


@dataclass(frozen=True, slots=True)
class Drift:
    """How much a series changes a day, since when, and when it reaches the bound ahead of it at this pace.

    `reaches_unix_nano` is None where there is no bound, or none within a year.
    """

    per_day: float
    since_unix_nano: int
    reaches_unix_nano: int | None


@dataclass(frozen=True, slots=True)
class Episode:
    """Opened at an onset, held, and closed by its own condition.

    `end_unix_nano` is None while it is open. `direction` is +1 above the band, -1 below. `peak_score` is the
    score furthest from 0 so far, `actual`, `yhat`, `lower` and `upper` are those of that peak point. `onset` follows
    within seconds of the first report; it is None also where the model was gone by then. One that goes on after its
    end has several `onsets`. `worsened_unix_nano` is when it last began or became clearly worse. A DEVIATION that stays
    where it went is of `kind` LEVEL_SHIFT from then on, and has a `shift`. One of DRIFT has a `drift`: `actual` is its
    newest day, `yhat` the same day a week before, with the usual changes of a week around it. One of SILENCE has none
    of these: the series, or its whole service, stopped reporting (`is_of_service`); `reason` says more.
    """

    episode_id: str
    series: int
    start_unix_nano: int
    end_unix_nano: int | None
    last_unix_nano: int
    direction: int
    peak_score: float
    actual: float
    yhat: float
    lower: float
    upper: float
    close_reason: str = ""
    kind: str = DEVIATION
    reason: str = ""
    onset: Onset | None = None
    onsets: int = 1
    worsened_unix_nano: int = 0
    shift: Shift | None = None
    drift: Drift | None = None
    is_of_service: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the series is still anomalous."""
        return self.end_unix_nano is None

    @property
    def is_of_points(self) -> bool:
        """Whether it is made of points outside their band."""
        return self.kind in {DEVIATION, LEVEL_SHIFT}

    @property
    def is_flapping(self) -> bool:
        """Whether it came and went."""
        return self.onsets >= FLAPPING_FROM

    def is_muted(self, now: int) -> bool:
        """Whether it goes on without having become worse for so long that it alerts no more."""
        return self.is_open and self.worsened_unix_nano > 0 and now - self.worsened_unix_nano >= MUTED_AFTER
