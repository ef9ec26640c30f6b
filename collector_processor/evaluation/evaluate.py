"""From labelled series to figures: replay what is not done yet, then count and pool.

A finished series is kept in a work directory under a name made of its data, the settings and the code that made it, so
that an interrupted evaluation goes on where it was and a repeated one takes seconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from zipfile import BadZipFile

import collector_processor
from collector_processor.evaluation.baselines import flags
from collector_processor.evaluation.dataset import LabelledSeries
from collector_processor.evaluation.events import Counts, alerts_of, count
from collector_processor.evaluation.forecast_error import ForecastError, forecast_error
from collector_processor.evaluation.replay import ReplaySettings, replay
from collector_processor.evaluation.trace import Trace

OURS = "Foreband"
_TOGETHER = 16
_CODE = ("clock.py", "telemetry", "otlp", "signals", "forecast", "detect", "policy", "training", "evaluation")


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One series: its trace, and the counts of Foreband and of every baseline by name."""

    series: LabelledSeries
    trace: Trace
    counts: Mapping[str, Counts]
    error: ForecastError


def evaluate(
    dataset: Sequence[LabelledSeries], settings: ReplaySettings, work: Path, advance: Callable[[int], None]
) -> list[Measured]:
    """Replay and measure series; `advance` is told how many more are done. What is in `work` is not replayed again."""
    work.mkdir(parents=True, exist_ok=True)
    traces = dict(_replayed(dataset, settings, work, advance))
    return [_measure(series, traces[series.name]) for series in dataset]


def by_dataset(measured: Sequence[Measured]) -> dict[str, list[Measured]]:
    """Return what was measured by dataset, in order of first occurrence."""
    result: dict[str, list[Measured]] = {}
    for one in measured:
        result.setdefault(one.series.dataset, []).append(one)
    return result


def _replayed(
    dataset: Sequence[LabelledSeries], settings: ReplaySettings, work: Path, advance: Callable[[int], None]
) -> Iterator[tuple[str, Trace]]:
    key = f"{settings!r} {code_digest()}"
    files = {s.name: work / f"{blake2b(f'{s.digest} {key}'.encode(), digest_size=16).hexdigest()}.npz" for s in dataset}
    missing = []
    for series in sorted(dataset, key=lambda s: (s.step, s.value.size)):  # those of a kind take equally long
        trace = _load(files[series.name])
        if trace is None:
            missing.append(series)
        else:
            advance(1)
            yield series.name, trace
    for first in range(0, len(missing), _TOGETHER):
        part = missing[first : first + _TOGETHER]
        for series, trace in zip(part, replay(part, settings), strict=True):
            trace.save(files[series.name])
            yield series.name, trace
        advance(len(part))


def _measure(series: LabelledSeries, trace: Trace) -> Measured:
    alerts = {name: alerts_of(trace.time_unix_nano, flag) for name, flag in flags(series, trace).items()}
    counts = {name: count(series, trace.time_unix_nano, a) for name, a in ({OURS: trace.alarm} | alerts).items()}
    return Measured(series, trace, counts, forecast_error(series, trace))


def _load(path: Path) -> Trace | None:
    try:
        return Trace.load(path)
    except (OSError, ValueError, KeyError, BadZipFile):
        return None


def code_digest(more: Sequence[str] = ()) -> str:
    """Name the code whose work is kept: other code may come to other results."""
    root, digest = Path(collector_processor.__file__).parent, blake2b(digest_size=12)
    for place in (*_CODE, *more):
        for source in sorted((root / place).rglob("*.py")) if (root / place).is_dir() else [root / place]:
            digest.update(source.read_bytes())
    return digest.hexdigest()
