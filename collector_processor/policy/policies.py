"""The policies of a configuration, resolved for one series at a time and remembered."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from collector_processor.config.detect import DetectPolicy
from collector_processor.config.policy import ForecastPolicy, PolicyConfig
from collector_processor.config.sections import Section
from collector_processor.forecast.capacity import Bound
from collector_processor.forecast.maintenance import Maintenance
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.policy.budget import Budget
from collector_processor.policy.capacity import bound_of
from collector_processor.policy.detect import companion_of, maintenance_of, rule_of, said_kind
from collector_processor.policy.forecast import prophet_settings
from collector_processor.policy.kind import MetricKind
from collector_processor.policy.selector import Selector
from collector_processor.signals.services import SERVICE_ATTRIBUTES
from collector_processor.telemetry.rule import NO_COMPANION, RULE_DTYPE, Rules
from collector_processor.telemetry.series import Kind, SeriesKey, Statistic, tagged

_Like = tuple[tuple[int, ...], str, str, Kind, Statistic]
_Block = TypeVar("_Block", bound=Section)
_MOST_REMEMBERED = 500_000


class Policies:
    """All policies that match a series apply in their order; what they come to is made once for the same matches."""

    def __init__(self, policies: Sequence[PolicyConfig] = (), threshold: float = 1.25) -> None:
        self._policies = tuple(policies)
        self._threshold = threshold
        self._selectors = [Selector(policy.match) for policy in policies]
        self._matches: dict[bytes, tuple[int, ...]] = {}
        self._forecasts: dict[tuple[int, ...], ProphetSettings] = {(): ProphetSettings()}
        self._numbers: tuple[dict[str, int], dict[str, int]] = {}, {}
        self._rules: dict[_Like, np.void] = {}
        self._kinds: dict[_Like, MetricKind] = {}
        self._maintenance: dict[tuple[int, ...], int] = {(): 0}
        self.budget_factors: Mapping[str, float] = {}
        """What thresholds are multiplied by to keep to budgets, by their names."""
        self.maintenance: list[Maintenance] = []
        """Windows by the number less one that rules have, as far as they were asked for."""

    def matching(self, key: SeriesKey) -> tuple[int, ...]:
        """Return which policies a series matches, by their place in the configuration."""
        if not self._selectors:
            return ()
        found = self._matches.get(key.identity)
        if found is None:
            if len(self._matches) >= _MOST_REMEMBERED:  # series come and go
                self._matches = {}
            found = tuple(i for i, selector in enumerate(self._selectors) if selector.matches(key))
            self._matches[key.identity] = found
        return found

    def forget_series(self) -> None:
        """Let go of what is remembered of single series; all rules have to be asked for again."""
        self._matches, self._numbers = {}, ({}, {})

    def forecast(self, key: SeriesKey) -> ProphetSettings:
        """Return how Prophet is fitted to a series; equal settings are one object."""
        matched = self.matching(key)
        found = self._forecasts.get(matched)
        if found is None:
            made = prophet_settings(self._forecast_blocks(matched), self._windows(matched))
            found = next((settings for settings in self._forecasts.values() if settings == made), made)
            self._forecasts[matched] = found
        return found

    def kind(self, key: SeriesKey) -> MetricKind:
        """Return what kind of number a series follows; made once for series that differ by attributes only."""
        matched = self.matching(key)
        like = matched, key.metric, key.unit, key.kind, key.statistic
        found = self._kinds.get(like)
        if found is None:
            found = self._kinds[like] = said_kind(key, self._detect_blocks(matched))
        return found

    def bound(self, key: SeriesKey) -> Bound | None:
        """Return the bound that a series should not reach, None where it has none."""
        blocks = _blocks([self._policies[i].capacity for i in self.matching(key)])
        return bound_of(key, self.kind(key), blocks)

    def rules(self, keys: Sequence[SeriesKey], find: Callable[[SeriesKey], int]) -> Rules:
        """Return what is asked of verdicts on series, RULE_DTYPE `(n,)`; `find` gives the id of a series, or < 0."""
        rules = np.zeros(len(keys), RULE_DTYPE)
        for i, key in enumerate(keys):
            rules[i] = self._rule(key)
            rules["threshold"][i] *= self._budget_factor(key)
            rules["service"][i], rules["resource"][i] = self._groups(key)
            companion = companion_of(key) if rules["least_events"][i] else None
            rules["companion"][i] = NO_COMPANION if companion is None else find(companion)
        return rules

    @property
    def budgets(self) -> list[Budget]:
        """Return the budgets of all policies that have one."""
        return [budget for i in range(len(self._policies)) if (budget := self._budget(i)) is not None]

    def budget_of(self, key: SeriesKey) -> Budget | None:
        """Return the budget that a series counts against: that of the last policy that has one."""
        found = [budget for i in self.matching(key) if (budget := self._budget(i)) is not None]
        return found[-1] if found else None

    def _budget(self, i: int) -> Budget | None:
        policy = self._policies[i]
        alarms = policy.detect.budget if policy.detect is not None else None
        return None if alarms is None else Budget(policy.match.model_dump_json(exclude_unset=True), alarms)

    def _budget_factor(self, key: SeriesKey) -> float:
        budget = self.budget_of(key) if self.budget_factors else None
        return 1.0 if budget is None else self.budget_factors.get(budget.name, 1.0)

    def _rule(self, key: SeriesKey) -> np.void:
        """Return the rule of a series but for its companion; made once for series that differ by attributes only."""
        matched = self.matching(key)
        like = matched, key.metric, key.unit, key.kind, key.statistic
        found = self._rules.get(like)
        if found is None:
            number = self._maintenance_number(matched)
            found = self._rules[like] = rule_of(key, self._detect_blocks(matched), self._threshold, number)
            found["family"] = len(self._rules)
        return found

    def _groups(self, key: SeriesKey) -> tuple[int, int]:
        """Return dense numbers of a series' service and of its resource."""
        service = tuple((name, value) for name, value in key.resource if name in SERVICE_ATTRIBUTES)
        names = str(tagged(service)), str(tagged(key.resource))
        number, resource = (
            known.setdefault(name, len(known)) for name, known in zip(names, self._numbers, strict=True)
        )
        return number, resource

    def _maintenance_number(self, matched: tuple[int, ...]) -> int:
        """Return the number of the windows that policies come to, 0 for none."""
        number = self._maintenance.get(matched)
        if number is None:
            windows = self._windows(matched)
            if windows.texts and windows not in self.maintenance:
                self.maintenance.append(windows)
            number = self._maintenance[matched] = self.maintenance.index(windows) + 1 if windows.texts else 0
        return number

    def _windows(self, matched: tuple[int, ...]) -> Maintenance:
        time_zone = prophet_settings(self._forecast_blocks(matched)).time_zone
        return maintenance_of(self._detect_blocks(matched), time_zone)

    def _forecast_blocks(self, matched: tuple[int, ...]) -> list[ForecastPolicy]:
        return _blocks([self._policies[i].forecast for i in matched])

    def _detect_blocks(self, matched: tuple[int, ...]) -> list[DetectPolicy]:
        return _blocks([self._policies[i].detect for i in matched])


class PoliciesInForce:
    """The policies that hold `now`, for whoever outlives a change of them; what is remembered of others is void."""

    def __init__(self, policies: Policies | None = None) -> None:
        self.now = policies or Policies()


def _blocks(found: Sequence[_Block | None]) -> list[_Block]:
    return [block for block in found if block is not None]
