"""Dashboards and rules against Grafana's own types, generated from its schemas: what these do not know, they lose."""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from grafana_datasource.provisioning.alerting import RULES
from tests.grafana.provisioned import SITE, loaded_dashboards

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it prefers dashboards that Grafana 11 cannot load
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models import alerting, dashboard, prometheus, timeseries

    register_default_plugins()

DASHBOARDS = loaded_dashboards()


def lost(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Yield where what went through their types is another."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            if name in theirs:
                yield from lost(value, theirs[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from lost(one, other, f"{path}[{i}]")
    elif ours != theirs:
        yield path


def through_types(board: dict[str, Any]) -> Any:
    return json.loads(json.dumps(dashboard.Dashboard.from_json(board), cls=JSONEncoder))


@pytest.mark.parametrize("board", DASHBOARDS, ids=lambda each: each["uid"])
def test_grafana_knows_every_field_of_a_dashboard(board: dict[str, Any]) -> None:
    assert list(lost(board, through_types(board))) == []


def test_a_field_that_grafana_does_not_know_would_be_found() -> None:
    board = json.loads(json.dumps(DASHBOARDS[1]))
    panel = board["panels"][0]
    parts = [board, panel, panel["options"], panel["fieldConfig"]["defaults"]["custom"], panel["targets"][0]]
    for part in parts:
        part["nobodyKnows"] = 1
    assert len(list(lost(board, through_types(board)))) == len(parts)


def test_panels_and_targets_are_of_the_types_that_check_them() -> None:
    panel = dashboard.Dashboard.from_json(DASHBOARDS[1]).panels[0]  # type: ignore[index]
    assert isinstance(panel, dashboard.Panel)
    assert isinstance(panel.options, timeseries.Options)
    assert isinstance(panel.targets[0], prometheus.Dataquery)  # type: ignore[index]


@pytest.mark.parametrize("rule", RULES, ids=lambda each: each.slug)
def test_grafana_knows_every_field_of_a_rule(rule: Any) -> None:
    ours = rule.as_request(SITE)
    assert list(lost(ours, json.loads(json.dumps(alerting.Rule.from_json(ours), cls=JSONEncoder)))) == []
