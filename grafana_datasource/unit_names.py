"""Find series by the names that Prometheus' own OTLP door and the Collector's exporters give them: with units.

`http.server.request.duration` in seconds is `http_server_request_duration_bucket` here and
`http_server_request_duration_seconds_bucket` there, and dashboards for OpenTelemetry are written for the latter. Such a
name is understood where a selector spells it out, and no series has it of its own.

The rules are those of github.com/prometheus/otlptranslator.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from collector_processor.telemetry.series import Kind, Statistic
from grafana_datasource.directory import Directory, Entry

_UNITS: Final = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
    "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tibibytes", "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes", "m": "meters",
    "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams", "Cel": "celsius", "Hz": "hertz", "1": "",
    "%": "percent",
}  # fmt: skip
_PER: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_TYPES: Final = {
    Statistic.VALUE: "",
    Statistic.TOTAL: "_total",
    Statistic.COUNT: "_count",
    Statistic.SUM: "_sum",
    Statistic.BUCKET: "_bucket",
}
"""What a series that came as it is has behind its name, here and there."""

_MOST_ADDED = 5  # words: a unit, `per`, another one, and what they are made of
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NO_WORD = re.compile(r"[^a-zA-Z0-9:]+")
_NAMES_KNOWN = 10_000


def spelled_with_units(directory: Directory, text: str) -> Iterable[tuple[str, Sequence[Entry]]]:
    """Return names in the text of a matcher that series have with their units, and these series."""
    for name in dict.fromkeys(_NAME.findall(text)):
        if name not in directory.by_name and (entries := series_of(directory, name)):
            yield name, entries


def series_of(directory: Directory, name: str) -> Sequence[Entry]:
    """Return the series that have this name with their units."""
    kind = next((suffix for suffix in _TYPES.values() if suffix and name.endswith(suffix)), "")
    words = name.removesuffix(kind).split("_")
    for kept in range(len(words) - 1, max(0, len(words) - 1 - _MOST_ADDED), -1):
        held = directory.by_name.get("_".join(words[:kept]) + kind, ())
        if found := [entry for entry in held if _is_named(entry, name)]:
            return found
    return ()


def _is_named(entry: Entry, name: str) -> bool:
    key = entry.key
    return key.statistic in _TYPES and name_with_unit(key.metric, key.unit, key.kind, key.statistic) == name


@lru_cache(_NAMES_KNOWN)
def name_with_unit(metric: str, unit: str, kind: Kind, statistic: Statistic) -> str:
    """Return the name of a series with unit and type, as Prometheus writes it."""
    words = [word for word in _NO_WORD.split(metric) if word]
    main, _, per = unit.partition("/")
    words += [word for word in (_written(main, _UNITS),) if word and word not in words]
    rate = _written(per, _PER)
    words += [word for word in (f"per_{rate}",) if rate and word not in words]
    if statistic is Statistic.TOTAL or (kind is Kind.GAUGE and unit == "1"):
        last = "total" if statistic is Statistic.TOTAL else "ratio"
        words = [*(word for word in words if word != last), last]
    name = "_".join(words)
    return ("_" if name[:1].isdigit() else "") + name + ("" if statistic is Statistic.TOTAL else _TYPES[statistic])


def _written(unit: str, words: dict[str, str]) -> str:
    """Return a unit as words; nothing for one in braces, which only says what is counted."""
    unit = unit.strip()
    return "" if "{" in unit or "}" in unit else _NO_WORD.sub("_", words.get(unit, unit)).strip("_")
