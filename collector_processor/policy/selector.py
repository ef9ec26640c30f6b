"""Which series a policy is meant for."""

import re
from collections.abc import Callable
from fnmatch import translate

from collector_processor.config.policy import MatchConfig
from collector_processor.telemetry.series import AttributeValue, SeriesKey

_Pattern = Callable[[str], object]


class Selector:
    """Tells whether a series matches everything that is given; nothing given matches every series."""

    def __init__(self, match: MatchConfig) -> None:
        self._metric = _pattern(match.metric.lower()) if match.metric is not None else None
        self._service = _pattern(match.service) if match.service is not None else None
        self._unit = _pattern(match.unit) if match.unit is not None else None
        self._statistic = _pattern(match.statistic) if match.statistic is not None else None
        self._attributes = {name: _pattern(text) for name, text in match.attributes.items()}

    def matches(self, key: SeriesKey) -> bool:
        """Tell whether a series is meant; its own attributes come before those of its resource."""
        given = (
            (self._metric, key.metric.lower()),
            (self._service, key.service),
            (self._unit, key.unit),
            (self._statistic, key.statistic.value),
        )
        if any(pattern is not None and not pattern(text) for pattern, text in given):
            return False
        found = dict(key.resource) | dict(key.attributes) if self._attributes else {}
        return all(name in found and pattern(_text(found[name])) for name, pattern in self._attributes.items())


def _pattern(text: str) -> _Pattern:
    return re.compile(translate(text)).match


def _text(value: AttributeValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
