"""Series made by hand, each with what must and must not be alerted on it: a day that everyone knows."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.config.policy import PolicyConfig
from collector_processor.evaluation.dataset import LabelledSeries
from collector_processor.evaluation.replay import ReplaySettings, replay
from collector_processor.evaluation.trace import Trace
from collector_processor.telemetry.points import Float64, Int64
from collector_processor.training.schedule import TrainingSettings
from tests.evaluation.labelled import START, labelled

STEP = 5 * MINUTE


class Told(NamedTuple):
    """An episode: its start and end in days from START, and what it was told as."""

    start: float
    end: float
    kind: str


Episodes = list[Told]


def moments(days: int, first: int = START, step: int = STEP) -> Int64:
    return first + step * np.arange(days * DAY // step)


def during(time: Int64, begin: float, end: float) -> Float64:
    """Return 1 between two days from START, else 0."""
    return ((time >= START + begin * DAY) & (time < START + end * DAY)).astype(np.float64)


def wave(time: Int64) -> Float64:
    """Return a daily wave between -1 and 1, highest at noon."""
    return -np.cos(2 * np.pi * (time % DAY) / DAY)


def weekdays(time: Int64) -> Float64:
    """Return 1 from Monday to Friday, else 0; day 0 of Unix time was a Thursday."""
    return ((time // DAY + 3) % 7 < 5).astype(np.float64)


def nightly(time: Int64, hour: float = 2.0, minutes: float = 40.0) -> Float64:
    begin = hour * HOUR
    return ((time % DAY >= begin) & (time % DAY < begin + minutes * MINUTE)).astype(np.float64)


def episodes(
    series: Mapping[str, tuple[Int64, Float64]], *policies: PolicyConfig, refit_interval: int = HOUR
) -> dict[str, Episodes]:
    """Replay series through the product; return what it alerts on."""
    made: list[LabelledSeries] = [labelled(time, value, name=name) for name, (time, value) in series.items()]
    training = TrainingSettings(refit_interval=refit_interval)
    traces = replay(made, ReplaySettings(training=training, policies=policies))
    return {one.name: _told(trace) for one, trace in zip(made, traces, strict=True)}


def _told(trace: Trace) -> Episodes:
    days = ((trace.episode - START) / DAY).tolist()
    return [Told(start, end, str(kind)) for (start, end), kind in zip(days, trace.kind, strict=True)]


def of_kind(name: str, kind: str) -> PolicyConfig:
    return PolicyConfig.model_validate({"match": {"service": name}, "detect": {"kind": kind}})
