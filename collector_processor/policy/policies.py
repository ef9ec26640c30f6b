"""The policies of a configuration, resolved for one series at a time and remembered."""

from collections.abc import Sequence
from typing import TypeVar

from collector_processor.forecast.settings import ProphetSettings
from collector_processor.policy.forecast import prophet_settings
from collector_processor.policy.selector import Selector
from collector_processor.policy_config import PolicyConfig
from collector_processor.sections import Section
from collector_processor.telemetry.series import SeriesKey

_Block = TypeVar("_Block", bound=Section)


class Policies:
    """All policies that match a series apply in their order; what they come to is made once for the same matches."""

    def __init__(self, policies: Sequence[PolicyConfig] = ()) -> None:
        self._policies = tuple(policies)
        self._selectors = [Selector(policy.match) for policy in policies]
        self._matches: dict[bytes, tuple[int, ...]] = {}
        self._forecasts: dict[tuple[int, ...], ProphetSettings] = {(): ProphetSettings()}

    def matching(self, key: SeriesKey) -> tuple[int, ...]:
        """Return which policies a series matches, by their place in the configuration."""
        if not self._selectors:
            return ()
        found = self._matches.get(key.identity)
        if found is None:
            found = tuple(i for i, selector in enumerate(self._selectors) if selector.matches(key))
            self._matches[key.identity] = found
        return found

    def forecast(self, key: SeriesKey) -> ProphetSettings:
        """Return how Prophet is fitted to a series; equal settings are one object."""
        matched = self.matching(key)
        found = self._forecasts.get(matched)
        if found is None:
            made = prophet_settings(_blocks([self._policies[i].forecast for i in matched]))
            found = next((settings for settings in self._forecasts.values() if settings == made), made)
            self._forecasts[matched] = found
        return found


def _blocks(found: Sequence[_Block | None]) -> list[_Block]:
    return [block for block in found if block is not None]
