"""One series: its value and bands, what lies ahead, what the forecast is made of, its score and state.

Bands are filled between fields of constant names ("upper" down to "lower"): Grafana finds the other edge by name, and
names that carry labels would break.
"""

from typing import Any

from grafana_datasource.provisioning.board import Row, board
from grafana_datasource.provisioning.dashboards.links import to_episode
from grafana_datasource.provisioning.names import CHOSEN_PROMETHEUS, SERIES, Json
from grafana_datasource.provisioning.panels import (
    DIRECTIONS,
    STATES,
    Panel,
    fixed,
    lines,
    number,
    override,
    table,
    timeline,
)
from grafana_datasource.provisioning.queries import BETWEEN, now, over_time, rows
from grafana_datasource.provisioning.site import Site
from grafana_datasource.provisioning.variables import level, metric, series, service

_OF = '{series="$series"}'
_EPISODES = {
    **dict.fromkeys(("start", "end"), "timestamp_epoch"),
    **dict.fromkeys(("severity", "explanation", "id"), "string"),
    "peak_score": "number",
}
_AHEAD = ("now-24h", "now+6h")
_PLAIN = [(None, "blue")]


def one_series(site: Site) -> Json:
    """Return the dashboard; its time range reaches into the future, where the forecast is."""
    layout = [
        Row("", [_band()]),
        Row("", [_score(), _states(), *_ahead()]),
        Row("What the forecast is made of", [_components()]),
        Row("Its episodes", [_episodes()]),
    ]
    chosen = [service(), metric(), series(), level()]
    about = "One series with its bands, what lies ahead of it, and what its forecast is made of."
    return board(site, SERIES, "one series", about, layout, variables=chosen, annotations=[_flagged()], time=_AHEAD)


def _band() -> Panel:
    """Draw value, forecast, alert band, calibrated band and anomalies."""
    calibrated = '{series="$series",band="calibrated",interval_width="$level"}'
    targets = [
        over_time("A", f"foreband_actual{_OF}", "value") | {"exemplar": True},
        over_time("B", f"foreband_yhat{_OF}", "expected"),
        over_time("C", 'foreband_lower{series="$series",band="alert"}', "lower"),
        over_time("D", 'foreband_upper{series="$series",band="alert"}', "upper"),
        over_time("E", f"foreband_lower{calibrated}", "lower calibrated"),
        over_time("F", f"foreband_upper{calibrated}", "upper calibrated"),
        over_time("G", f"foreband_actual{_OF} and on (series) foreband_anomaly{_OF} != 0", "anomaly"),
    ]
    points = {"custom__drawStyle": "points", "custom__pointSize": 6, "custom__showPoints": "always"}
    overrides = [
        override("value", color=fixed("text")),
        override("expected", color=fixed("blue"), custom__lineStyle={"fill": "dash", "dash": [8, 6]}),
        _edge("lower"),
        _edge("upper", "lower", 14),
        _edge("lower calibrated"),
        _edge("upper calibrated", "lower calibrated", 10),
        override("anomaly", color=fixed("red"), **points),
    ]
    text = "The wide band is the one that judges; the narrow one holds the chosen share of points."
    return lines("Value, forecast and bands", 24, 12, *targets, overrides=overrides, description=text)


def _edge(name: str, fill_below_to: str = "", opacity: int = 0) -> Json:
    properties: dict[str, Any] = {"custom__lineWidth": 0, "custom__fillOpacity": opacity}
    if fill_below_to:
        properties["custom__fillBelowTo"] = fill_below_to
    hidden = {"legend": True, "tooltip": False, "viz": False}
    return override(name, color=fixed("super-light-blue"), custom__hideFrom=hidden, **properties)


def _score() -> Panel:
    steps = [{"color": "red", "value": None}, {"color": "transparent", "value": -1}, {"color": "red", "value": 1}]
    return lines(
        "Score: beyond 1 or -1 is outside the band",
        12,
        8,
        over_time("A", f"foreband_score{_OF}", "score"),
        custom={"thresholdsStyle": {"mode": "area"}},
        defaults={"thresholds": {"mode": "absolute", "steps": steps}, "color": fixed("text")},
    )


def _states() -> Panel:
    targets = [
        over_time("A", f"foreband_anomaly{_OF}", "value is"),
        over_time("B", f"foreband_state{_OF}", "model is"),
    ]
    model = {"id": "mappings", "value": [STATES]}
    overrides = [{"matcher": {"id": "byName", "options": "model is"}, "properties": [model]}]
    return timeline("Verdict and state", 12, 8, *targets, mappings=[DIRECTIONS], overrides=overrides)


def _ahead() -> list[Panel]:
    later = [
        now(ref, f"foreband_yhat_{name}{_OF}", f"in {name}") for ref, name in (("A", "1h"), ("B", "6h"), ("C", "1d"))
    ]
    bound = now("A", 'foreband_time_to_breach_seconds{series="$series",quantile="0.5"}', "half of its likely courses")
    return [
        number("Expected", 12, 4, *later, steps=_PLAIN, options={"colorMode": "value"}),
        number(
            "Reaches its bound in",
            12,
            4,
            bound,
            steps=[(None, "red"), (86_400.0, "orange"), (604_800.0, "green")],
            defaults={"unit": "s", "noValue": "not in sight"},
            options={"colorMode": "value"},
        ),
    ]


def _components() -> Panel:
    target = over_time("A", f"foreband_component{_OF}", "{{component}}")
    return lines("Parts of Prophet's forecast", 24, 8, target, description="Of today's model, also in the past.")


def _episodes() -> Panel:
    overrides = [
        override("id", links=to_episode("${__value.raw}")),
        override("explanation", custom__width=700),
    ]
    target = rows("A", "/api/v1/episodes", _EPISODES, {"series": "${series}", **BETWEEN})
    return table("Episodes", 24, 7, target, sort="start", overrides=overrides)


def _flagged() -> Json:
    """Shade the stretches in which the chosen series was flagged."""
    return {
        "name": "Anomalies",
        "enable": True,
        "iconColor": "orange",
        "datasource": CHOSEN_PROMETHEUS,
        "expr": f"abs(foreband_anomaly{_OF})",
        "step": "60s",
        "titleFormat": "Outside its band",
        "textFormat": "{{service_name}} {{metric}} {{statistic}}",
        "useValueForTime": False,
    }
