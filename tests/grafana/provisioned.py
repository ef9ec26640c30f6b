"""What is brought to a Grafana, taken apart for tests: its parts, its questions, with variables put in."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from collector_processor.clock import DAY
from grafana_datasource.promql.parser import parse
from grafana_datasource.promql.syntax import Selector
from grafana_datasource.provisioning import Site, provisioning_files
from tests.grafana.scene import CALLS, NOW

SITE = Site(page="http://page.example:8080", traces="tempo:traces", has_simpod=True)
_MILLISECOND = 10**6
_VARIABLES = {
    "${series}": CALLS.stable_id,
    "$series": CALLS.stable_id,
    "${service:regex}": ".*",
    "$service": ".*",
    "$metric": ".*",
    "$level": "0.95",
    "${__timeFrom}": str((NOW - DAY) // _MILLISECOND),
    "${__timeTo}": str(NOW // _MILLISECOND),
}


_EMPTY_HERE = (
    'foreband_episode{kind="silence"}',
    'foreband_episode{kind="drift"}',
    "foreband_time_to_breach_seconds",
    "foreband_breach_probability",
    "rate(foreband_",
)


def is_empty_here(expr: str) -> bool:
    """Whether the scene may have no answer: nothing is silent, few series have bounds, figures have no past."""
    return any(part in expr for part in _EMPTY_HERE)


def load(name: str, site: Site = SITE) -> Any:
    text = provisioning_files(site)[name]
    return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)


def loaded_dashboards() -> list[dict[str, Any]]:
    return [json.loads(text) for name, text in provisioning_files(SITE).items() if name.endswith(".json")]


def panel_named(dashboard: str, title: str) -> dict[str, Any]:
    panels = (panel for board in loaded_dashboards() if board["uid"] == dashboard for panel in board["panels"])
    return next(panel for panel in panels if panel["title"] == title)


def loaded_rules() -> list[dict[str, Any]]:
    (group,) = load("alerting/foreband.yaml")["groups"]
    return list(group["rules"])


def walk(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(child)


def filled(text: str) -> str:
    for variable, value in _VARIABLES.items():
        text = text.replace(variable, value)
    return text


def expressions() -> list[str]:
    """Return every PromQL expression of dashboards and rules, each once."""
    parts = [*loaded_dashboards(), *loaded_rules()]
    return list(dict.fromkeys(filled(node["expr"]) for part in parts for node in walk(part) if "expr" in node))


def metric_names() -> set[str]:
    """Return the names of all metrics that any expression or variable asks for."""
    return {name for expr in expressions() for name in _names(parse(expr))}


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, Selector):
        named = (matcher for matcher in node.matchers if matcher.label == "__name__" and matcher.operator == "=")
        yield from (matcher.text for matcher in named)
    elif isinstance(node, tuple):
        for part in node:
            yield from _names(part)
    elif hasattr(node, "__dataclass_fields__"):
        for name in node.__dataclass_fields__:
            yield from _names(getattr(node, name))


def infinity_queries(parts: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """Return every question for rows, of some parts or of all."""
    parts = parts or [*loaded_dashboards(), *loaded_rules()]
    return [node for part in parts for node in walk(part) if "url_options" in node]


def python_pattern(pattern: str) -> re.Pattern[str]:
    """Return a JavaScript pattern of Grafana's as Python's."""
    return re.compile(pattern.strip("/").replace("(?<", "(?P<"))
