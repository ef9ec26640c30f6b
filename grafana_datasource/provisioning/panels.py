"""Panels before they have a place, and the few kinds of them that all dashboards are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from grafana_datasource.provisioning.names import CHOSEN_PROMETHEUS, Json

DIRECTIONS: Json = {
    "type": "value",
    "options": {
        "1": {"text": "above", "color": "red", "index": 0},
        "0": {"text": "usual", "color": "green", "index": 1},
        "-1": {"text": "below", "color": "blue", "index": 2},
    },
}
STATES: Json = {
    "type": "value",
    "options": {
        "0": {"text": "warming", "color": "yellow", "index": 0},
        "1": {"text": "active", "color": "green", "index": 1},
        "2": {"text": "degraded", "color": "orange", "index": 2},
    },
}

FROM_ZERO: Json = {"min": 0}
COUNTED: Json = {"min": 0, "decimals": 0}
"""An axis of what is never below 0, and of what is whole, too."""

_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True}
_OF_NOW = {"timeFrom": "5m", "hideTimeOverride": True}  # else Grafana asks at the end of the range, which may be ahead
_LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `width` in 24ths of the dashboard's, `height` in Grafana's steps of 30 pixels."""

    kind: str
    title: str
    width: int
    height: int
    targets: Sequence[Json] = ()
    options: Json = field(default_factory=dict)
    defaults: Json = field(default_factory=dict)
    overrides: Sequence[Json] = ()
    description: str = ""
    transformations: Sequence[Json] = ()

    def placed(self, panel_id: int, x: int, y: int) -> Json:
        """Return it as Grafana stores it."""
        sources = [target["datasource"] for target in self.targets]
        panel: Json = {
            "id": panel_id,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": sources[0] if sources else CHOSEN_PROMETHEUS,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": list(self.targets),
            "fieldConfig": {"defaults": self.defaults, "overrides": list(self.overrides)},
            "options": self.options,
        }
        if all(target.get("instant") for target in self.targets):
            panel |= _OF_NOW
        if self.transformations:
            panel["transformations"] = list(self.transformations)
        return panel


def lines(title: str, width: int, height: int, *targets: Json, unit: str = "", **more: Any) -> Panel:
    """Draw numbers over time; `more` goes to `Panel`, what it says of `defaults` and `custom` fields on top of ours."""
    custom = {"showPoints": "never", "spanNulls": False, "lineWidth": 1, **more.pop("custom", {})}
    defaults = {"custom": custom, **({"unit": unit} if unit else {}), **more.pop("defaults", {})}
    options = {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}}
    return Panel("timeseries", title, width, height, targets, options, defaults, **more)


def number(
    title: str, width: int, height: int, *targets: Json, steps: Sequence[tuple[float | None, str]], **more: Any
) -> Panel:
    """Show one number, or one per series, in the colour of its threshold."""
    thresholds = {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}
    defaults = {"thresholds": thresholds, "color": {"mode": "thresholds"}, **more.pop("defaults", {})}
    options = {"colorMode": "background", "graphMode": "none", "textMode": "auto", "reduceOptions": _LAST}
    return Panel("stat", title, width, height, targets, options | more.pop("options", {}), defaults, **more)


def bars(
    title: str, width: int, height: int, *targets: Json, steps: Sequence[tuple[float | None, str]], **more: Any
) -> Panel:
    """Show one bar per series."""
    thresholds = {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}
    defaults = {"thresholds": thresholds, "color": {"mode": "thresholds"}, **more.pop("defaults", {})}
    options = {"displayMode": "basic", "orientation": "horizontal", "showUnfilled": True, "reduceOptions": _LAST}
    return Panel("bargauge", title, width, height, targets, options, defaults, **more)


def timeline(title: str, width: int, height: int, *targets: Json, mappings: Sequence[Json], **more: Any) -> Panel:
    """Show states as coloured stretches, a row per series."""
    defaults = {"mappings": list(mappings), "custom": {"fillOpacity": 70, "lineWidth": 0}}
    options = {"mergeValues": True, "showValue": "never", "rowHeight": 0.8, "perPage": 20, "legend": _LEGEND}
    return Panel("state-timeline", title, width, height, targets, options, defaults, **more)


def table(title: str, width: int, height: int, *targets: Json, sort: str = "", **more: Any) -> Panel:
    """Show rows, the largest of `sort` first."""
    options: Json = {"showHeader": True, "cellHeight": "sm"}
    if sort:
        options["sortBy"] = [{"displayName": sort, "desc": True}]
    return Panel("table", title, width, height, targets, options, {"custom": {"filterable": True}}, **more)


def override(name: str, **properties: Any) -> Json:
    """Say how one field differs from the others; `__` in a property's name is a dot."""
    changed = [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": changed}


def fixed(colour: str) -> Json:
    """Return a colour that does not depend on anything."""
    return {"mode": "fixed", "fixedColor": colour}


def link(title: str, url: str, *, is_new_tab: bool = False) -> Json:
    """Return a link of a field."""
    return {"title": title, "url": url, "targetBlank": is_new_tab}
