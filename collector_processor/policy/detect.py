"""What the detect blocks of policies come to: one rule for a series, kind defaults where nothing is said."""

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.config.detect import PROFILES, BoundsConfig, DetectPolicy, MaintenanceConfig
from collector_processor.forecast.maintenance import Maintenance, span_text
from collector_processor.policy.kind import KindDefaults, MetricKind, defaults_of, kind_of
from collector_processor.telemetry.rule import NO_COMPANION, RULE_DTYPE, Direction, Missing
from collector_processor.telemetry.series import Kind, SeriesKey, Statistic

_SENSES = {"up": Direction.UP, "down": Direction.DOWN, "both": Direction.BOTH}
_DEFAULT = DetectPolicy()
_GATED = {MetricKind.ERROR_RATIO, MetricKind.LATENCY}
_SPAN_RATE = ("traces.span.calls", "{span}/s")


def rule_of(key: SeriesKey, blocks: Sequence[DetectPolicy], threshold: float, maintenance: int) -> np.void:
    """Return the RULE_DTYPE record of a series; its companion and its groups are not known here.

    `threshold` is that of the configuration; a profile or threshold in a later block overrides those of earlier ones.
    """
    said, kind = _merged(blocks), said_kind(key, blocks)
    default = defaults_of(key, kind)
    bounds: BoundsConfig | None = said.get("bounds")
    rule: np.void = np.zeros(1, RULE_DTYPE)[0]
    rule["limits"]["least"] = said.get("min_deviation", default.min_deviation)
    rule["limits"]["least_share"] = said.get("min_relative_deviation", default.min_relative_deviation)
    rule["limits"]["low"], rule["limits"]["high"] = _range(default, bounds)
    rule["is_modelled"] = key.statistic.is_modelled
    rule["has_bounds"] = bounds is not None
    rule["threshold"] = said.get("threshold", threshold)
    rule["direction"] = _SENSES[said["direction"]] if "direction" in said else default.direction
    rule["least_events"] = said.get("min_requests", default.min_requests) if kind in _GATED else 0.0
    rule["missing"] = _missing(key, said.get("missing", "auto"))
    rule["intervals"] = said.get("silence_intervals", _DEFAULT.silence_intervals)
    rule["at_least"] = round(said.get("min_silence", _DEFAULT.min_silence).total_seconds()) * NANOS_PER_SECOND
    rule["companion"] = NO_COMPANION
    rule["maintenance"] = maintenance
    return rule


def said_kind(key: SeriesKey, blocks: Sequence[DetectPolicy]) -> MetricKind:
    """Return the kind that blocks name, else the one that the series itself tells."""
    return MetricKind(_merged(blocks).get("kind") or kind_of(key))


def companion_of(key: SeriesKey) -> SeriesKey | None:
    """Return the series that counts per second what this one's points are made of; None where there is none."""
    if key.statistic in {Statistic.RATE, Statistic.VALUE}:
        return None
    metric, unit = _SPAN_RATE if key.kind is Kind.SPAN else (key.metric, key.unit)
    return SeriesKey(key.resource, key.scope, metric, unit, key.kind, Statistic.RATE, key.attributes)


def maintenance_of(blocks: Sequence[DetectPolicy], time_zone: str) -> Maintenance:
    """Return all maintenance windows of blocks: those of later ones come on top."""
    texts = [_window_text(window) for block in blocks for window in block.maintenance]
    return Maintenance(tuple(dict.fromkeys(texts)), time_zone) if texts else Maintenance()


def _missing(key: SeriesKey, said: str) -> Missing:
    """Return what absence means; by itself it means nothing for numbers that need traffic, or are not modelled."""
    if said == "auto" and key.statistic not in {Statistic.VALUE, Statistic.RATE}:
        return Missing.GAP
    return Missing[said.upper()] if key.statistic.is_modelled else Missing.GAP


def _range(default: KindDefaults, bounds: BoundsConfig | None) -> tuple[float, float]:
    """Return low and high; an operator's bounds replace those of the kind."""
    if bounds is None:
        return default.low, default.high
    return -inf if bounds.min is None else bounds.min, inf if bounds.max is None else bounds.max


def _merged(blocks: Sequence[DetectPolicy]) -> dict[str, Any]:
    """Merge what is set, later blocks over earlier ones; a profile is a threshold by name."""
    merged: dict[str, Any] = {}
    for block in blocks:
        said = {name: getattr(block, name) for name in block.model_fields_set}
        if "profile" in said:
            said.setdefault("threshold", PROFILES[said["profile"]])
        merged |= said
    return merged


def _window_text(window: MaintenanceConfig) -> str:
    if window.ical is not None:
        return window.ical.text
    assert window.first is not None
    assert window.until is not None
    return span_text(window.first, window.until, window.rule)
