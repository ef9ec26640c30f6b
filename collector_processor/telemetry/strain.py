"""That a series went far out within its band, or came back: what incidents are found by beside episodes."""

from dataclasses import dataclass

from collector_processor.telemetry.series import SeriesKey


@dataclass(frozen=True, slots=True)
class Strain:
    """`score` is that of the point at which it became so, at or near 0 where it came back."""

    series: int
    key: SeriesKey
    time_unix_nano: int
    score: float
    is_strained: bool
