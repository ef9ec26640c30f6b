"""A source that holds its samples in memory, written as text: `5` a sample, `_` none, `x` the end of the series."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from collector_processor.telemetry.points import STALE, Float64, Int64, is_stale
from grafana_datasource.matching import Matcher
from grafana_datasource.promql.engine import Evaluation
from grafana_datasource.promql.parser import parse, parse_selector
from grafana_datasource.promql.samples import Samples, newest, selected
from grafana_datasource.promql.vector import Vector
from grafana_datasource.query import Grid

SECOND = 1_000_000_000


class MemorySource:
    """Series by selector text like `x{a="b"}`, one sample every `every` seconds from time 0 on."""

    def __init__(self, series: Mapping[str, str], every: int = 60) -> None:
        self._parts = [_samples(selector, values, every) for selector, values in series.items()]
        self.spent = 0

    @classmethod
    def of(cls, parts: Sequence[Samples]) -> "MemorySource":
        """Hold samples as they are, one series in each part."""
        source = cls({})
        source._parts = list(parts)
        return source

    def instant(self, matchers: Sequence[Matcher], times: Int64) -> Vector:
        return selected(self._meant(matchers), times)

    def moments(self, matchers: Sequence[Matcher], times: Int64) -> Vector:
        samples = self._meant(matchers)
        row, present = newest(samples, times)
        return Vector(samples.labels, samples.time[row] / SECOND, present)

    def samples(self, matchers: Sequence[Matcher], start: int, end: int) -> Samples:
        assert start <= end
        return self._meant(matchers)

    def _meant(self, matchers: Sequence[Matcher]) -> Samples:
        return Samples.concat([part for part in self._parts if all(m.matches(part.labels[0]) for m in matchers)])

    def spend(self, samples: int) -> None:
        self.spent += samples


def evaluated(source: MemorySource, text: str, start: float, step: float = 60, count: int = 1) -> object:
    """Evaluate; a vector comes as `{labels: [values]}`, None where there is no sample, a scalar as a list."""
    grid = Grid(int(start * SECOND), int(step * SECOND), count)
    value = Evaluation(source, grid, grid.end, 1_000_000).run(parse(text))
    if isinstance(value, Vector):
        return {
            _written(labels): _listed(values, present)
            for labels, values, present in zip(value.labels, value.values, value.present, strict=True)
        }
    return value.tolist() if isinstance(value, np.ndarray) else value


def _samples(selector: str, values: str, every: int) -> Samples:
    labels = {matcher.label: matcher.text for matcher in parse_selector(selector)}
    texts = _repeated(values).split()
    places = [i for i, text in enumerate(texts) if text != "_"]
    value = np.array([STALE if texts[i] == "x" else float(texts[i]) for i in places])
    time = np.array(places, np.int64) * every * SECOND
    return Samples([labels], np.array([0, len(places)]), time, value, is_stale(value))


def _repeated(values: str) -> str:
    """Write out `1*5` as five ones."""
    return re.sub(r"(\S+)\*(\d+)", lambda found: " ".join([found.group(1)] * int(found.group(2))), values)


def _written(labels: Mapping[str, str]) -> str:
    name = labels.get("__name__", "")
    pairs = ",".join(f"{k}={v}" for k, v in sorted(labels.items()) if k != "__name__")
    return f"{name}{{{pairs}}}"


def _listed(values: Float64, present: np.ndarray) -> list[float | None]:
    return [value if has else None for value, has in zip(values.tolist(), present.tolist(), strict=True)]
