"""All series at a glance: how many, how they do, which are worst, and who to look at."""

from grafana_datasource.provisioning.board import Row, board
from grafana_datasource.provisioning.dashboards.links import to_series, to_service
from grafana_datasource.provisioning.names import FLEET, Json
from grafana_datasource.provisioning.panels import (
    COUNTED,
    DIRECTIONS,
    Panel,
    bars,
    lines,
    number,
    override,
    table,
    timeline,
)
from grafana_datasource.provisioning.queries import now, now_as_table, over_time
from grafana_datasource.provisioning.site import Site
from grafana_datasource.provisioning.variables import service

_OF = '{service_name=~"$service"}'
_GOOD_UNTIL = {1: [(None, "green"), (1.0, "red")], 0: [(None, "green"), (1.0, "orange")]}
_PLAIN = [(None, "blue")]
_WORDS = ("service_name", "metric", "statistic", "series", "Value")


def fleet(site: Site) -> Json:
    """Return the dashboard."""
    rows = [
        Row("", _counts()),
        Row("", [_by_service(), _worst(site)]),
        Row("Who", [_services(), _outside(site)]),
    ]
    about = "All series at a glance: how many do how, which are worst, and whose they are."
    return board(site, FLEET, "fleet", about, rows, variables=[service()])


def _counts() -> list[Panel]:
    told = (
        ("Outside their band", f"count(foreband_anomaly{_OF} != 0) or vector(0)", _GOOD_UNTIL[1], ""),
        (
            "Silent",
            'count(foreband_episode{kind="silence",service_name=~"$service"}) or vector(0)',
            _GOOD_UNTIL[1],
            "Series, or whole services, that always reported and stopped.",
        ),
        (
            "Degraded",
            f"count(foreband_state{_OF} == 2) or vector(0)",
            _GOOD_UNTIL[0],
            "Judged, but with less certainty: a fit failed or is overdue, or the forecasts disagree.",
        ),
        (
            "Will reach their bound",
            f"count(foreband_breach_probability{_OF} > 0.5) or vector(0)",
            _GOOD_UNTIL[0],
            "More likely than not, within the horizon.",
        ),
        (
            "Warming up",
            f"count(foreband_state{_OF} == 0) or vector(0)",
            _PLAIN,
            "Less than a day of history: a provisional band, and nothing is flagged yet.",
        ),
        ("Live series", f"count(foreband_state{_OF}) or vector(0)", _PLAIN, "With a point within the last hour."),
    )
    return [
        number(title, 4, 4, now("A", expr), steps=steps, defaults={"decimals": 0}, description=text)
        for title, expr, steps, text in told
    ]


def _by_service() -> Panel:
    target = over_time("A", f"sum by (service_name) (abs(foreband_anomaly{_OF}))", "{{service_name}}")
    stacked = {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 40, "drawStyle": "bars"}
    return lines("Series outside their band, by service", 14, 9, target, custom=stacked, unit="short", defaults=COUNTED)


def _worst(site: Site) -> Panel:
    legend = "{{service_name}} {{metric}} {{statistic}}"
    target = now("A", f"topk(12, abs(foreband_score{_OF}))", legend)
    return bars(
        "Furthest from what is expected",
        10,
        9,
        target,
        steps=[(None, "green"), (0.8, "yellow"), (1.0, "red")],
        defaults={"min": 0, "decimals": 1, "links": to_series(site, "${__field.labels.series}")},
        description="In half-widths of the alert band: beyond 1 a point is outside.",
    )


def _services() -> Panel:
    target = over_time("A", f"max by (service_name) (abs(foreband_anomaly{_OF}))", "{{service_name}}")
    return timeline("Services with a series outside its band", 10, 10, target, mappings=[DIRECTIONS])


def _outside(site: Site) -> Panel:
    target = now_as_table("A", f"foreband_score{_OF} and on (series) foreband_anomaly{_OF} != 0")
    chosen = {"include": {"names": list(_WORDS)}}
    return table(
        "Outside their band now",
        14,
        10,
        target,
        sort="Value",
        overrides=[
            override("service_name", displayName="service", links=to_service(site)),
            override("series", links=to_series(site, "${__value.raw}")),
            override("Value", displayName="score", decimals=2),
        ],
        transformations=[{"id": "filterFieldsByName", "options": chosen}],
    )
