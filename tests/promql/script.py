"""Prometheus' own test scripts: samples to load, questions about them, and the answers.

A script is blocks between empty lines: `load 5m` with a line per series (`x{a="b"} 0+10x3 _ stale`), `clear`, or
`eval instant at 50m <query>` with the lines of the answer; `eval_fail` has none, of `eval_ordered` the order counts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from collector_processor.telemetry.points import STALE, is_stale
from grafana_datasource.promql.parser import parse_selector
from grafana_datasource.promql.samples import Samples
from grafana_datasource.query import parse_duration
from tests.promql.memory import SECOND, MemorySource

SCRIPTS = Path(__file__).with_name("prometheus")

Labels = dict[str, str]
Load = tuple[int, tuple[str, ...]]
"""The spacing of samples, and a line for each series."""

Answer = list[tuple[Labels, float]]
"""Samples by label set; a scalar has no labels."""

_COMMAND = re.compile(r"(?P<name>load|clear|eval\w*)(?: instant at)?(?: (?P<time>\S+))?(?: (?P<query>.*))?")
_SERIES = re.compile(r"""(?P<labels>[\w:]*(?:\{(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^}"'])*\})?)\s+(?P<values>.*)""")
_REPEATED = re.compile(r"(?P<first>.+?)(?:(?P<sign>[+-])(?P<step>[^+-]+))?x(?P<times>\d+)")


@dataclass(frozen=True, slots=True)
class Question:
    """A query at a time (nanoseconds), and what Prometheus answers; nothing where it refuses."""

    query: str
    time: int
    answer: Answer | None
    is_ordered: bool
    source: MemorySource

    def __str__(self) -> str:
        return f"{self.query} at {self.time / SECOND}"


def questions(script: str) -> Iterator[Question]:
    """Yield the questions of a script, each with the samples loaded before it."""
    loaded: tuple[Load, ...] = ()
    for block in _blocks((SCRIPTS / script).read_text()):
        command = _COMMAND.fullmatch(block[0])
        assert command, block[0]
        match command["name"]:
            case "clear":
                loaded = ()
            case "load":
                loaded = (*loaded, (_nanos(command["time"]), tuple(block[1:])))
            case name:
                answer = None if name == "eval_fail" else [_sample(line) for line in block[1:]]
                source = _source(loaded)
                yield Question(command["query"], _nanos(command["time"]), answer, name == "eval_ordered", source)


def _blocks(text: str) -> Iterator[list[str]]:
    """Yield commands, each with the indented lines that belong to it."""
    block: list[str] = []
    for line in [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]:
        if not line[0].isspace() and block and _COMMAND.fullmatch(line):
            yield block
            block = []
        block.append(line.strip())
    yield block


@lru_cache(maxsize=64)
def _source(loaded: tuple[Load, ...]) -> MemorySource:
    """Return all samples loaded; of two at one time the later one counts."""
    series: dict[str, dict[int, float]] = {}
    for every, lines in loaded:
        for line in lines:
            found = _SERIES.fullmatch(line)
            assert found, line
            samples = series.setdefault(found["labels"], {})
            for place, value in enumerate(_values(found["values"])):
                if value is not None:
                    samples[place * every] = value
    return MemorySource.of([_samples(_labels(text), samples) for text, samples in series.items() if samples])


def _samples(labels: Labels, samples: dict[int, float]) -> Samples:
    time = np.array(sorted(samples), np.int64)
    value = np.array([samples[at] for at in time.tolist()])
    return Samples([labels], np.array([0, time.size]), time, value, is_stale(value))


def _sample(line: str) -> tuple[Labels, float]:
    found = _SERIES.fullmatch(line)
    labels, text = (_labels(found["labels"]), found["values"]) if found else ({}, line)
    (value,) = _values(text)
    assert value is not None
    return labels, value


def _labels(text: str) -> Labels:
    if text in {"", "{}"}:
        return {}
    return {matcher.label: matcher.text for matcher in parse_selector(text)}


def _values(text: str) -> Iterator[float | None]:
    """Read `1 _ stale 0+10x3`: a number, nothing, the end of the series, and a number with three more after it."""
    for word in text.split():
        if word == "stale":
            yield STALE
        elif word == "_":
            yield None
        elif run := _REPEATED.fullmatch(word):
            step = float((run["sign"] or "+") + (run["step"] or "0"))
            yield from (float(run["first"]) + place * step for place in range(int(run["times"]) + 1))
        else:
            yield float(word)


def _nanos(text: str) -> int:
    return parse_duration("time", text) if text[-1].isalpha() else int(float(text) * SECOND)
