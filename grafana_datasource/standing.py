"""What a Prometheus says of itself: fixed answers, and how many series have which names and labels."""

from collections.abc import Mapping, Sized
from typing import Any

from grafana_datasource.directory import Directory

API_VERSION = "2.55.0"
"""The Prometheus version whose API this is; without `features`, so that nobody takes it for a Mimir."""

FIXED: dict[str, Any] = {
    "rules": {"groups": []},
    "alerts": {"alerts": []},
    "alertmanagers": {"activeAlertmanagers": [], "droppedAlertmanagers": []},
    "notifications": [],
    "targets": {"activeTargets": [], "droppedTargets": []},
    "targets/metadata": [],
    "scrape_pools": {"scrapePools": []},
    "status/buildinfo": {
        "version": API_VERSION,
        **dict.fromkeys(("revision", "branch", "buildUser", "buildDate", "goVersion"), ""),
    },
    "status/config": {"yaml": ""},
    "status/flags": {"query.lookback-delta": "5m", "query.timeout": "30s"},
    "status/runtimeinfo": {"reloadConfigSuccess": True, "corruptionCount": 0},
}
"""Answers below `/api/v1` that never change, most of them because Foreband scrapes nothing and evaluates no rules."""


def cardinality(directory: Directory, most: int) -> dict[str, Any]:
    """Return how many series there are by metric, and how many values and series by label; at most `most` of each."""
    by_pair = {f"{label}={text}": found for label, texts in directory.texts.items() for text, found in texts.items()}
    return {
        "headStats": {"numSeries": len(directory.entries), "numLabelPairs": len(by_pair)},
        "seriesCountByMetricName": _largest(directory.by_name, most),
        "labelValueCountByLabelName": _largest(directory.texts, most),
        "memoryInBytesByLabelName": [],
        "seriesCountByLabelValuePair": _largest(by_pair, most),
    }


def _largest(counted: Mapping[str, Sized], most: int) -> list[dict[str, Any]]:
    ranked = sorted(counted, key=lambda name: (-len(counted[name]), name))
    return [{"name": name, "value": len(counted[name])} for name in ranked[:most]]
