"""When series will reach their bounds."""

from grafana_datasource.provisioning.board import Row, board
from grafana_datasource.provisioning.dashboards.incidents import regions
from grafana_datasource.provisioning.dashboards.links import to_series
from grafana_datasource.provisioning.names import CAPACITY, Json
from grafana_datasource.provisioning.panels import Panel, bars, fixed, lines, override, table
from grafana_datasource.provisioning.queries import OF_SERVICE, now, over_time, rows
from grafana_datasource.provisioning.site import Site
from grafana_datasource.provisioning.variables import metric, series, service

_NAMED = "{{service_name}} {{metric}}"
_OF = '{series="$series"}'
_COLUMNS = {
    **dict.fromkeys(("service", "metric", "statistic", "direction"), "string"),
    **dict.fromkeys(("limit", "probability", "p10_seconds", "p50_seconds", "p90_seconds"), "number"),
    "series": "string",
}


def capacity(site: Site) -> Json:
    """Return the dashboard; it looks a week ahead."""
    layout = [Row("", [_soonest(site), _likely(site)]), Row("All bounds", [_list(site)]), Row("One series", [_ahead()])]
    chosen = [service(), metric(), series()]
    about, span = "When series will reach their bounds, and how likely that is.", ("now-7d", "now+7d")
    return board(site, CAPACITY, "capacity", about, layout, variables=chosen, annotations=[regions()], time=span)


def _soonest(site: Site) -> Panel:
    expr = 'bottomk(12, foreband_time_to_breach_seconds{quantile="0.5",service_name=~"$service"})'
    return bars(
        "Half of the likely courses have reached the bound in",
        12,
        9,
        now("A", expr, _NAMED),
        steps=[(None, "red"), (86_400.0, "orange"), (604_800.0, "green")],
        defaults={"unit": "s", "min": 0, "links": to_series(site, "${__field.labels.series}")},
    )


def _likely(site: Site) -> Panel:
    expr = 'topk(12, foreband_breach_probability{service_name=~"$service"})'
    return bars(
        "How likely the bound is reached within the horizon",
        12,
        9,
        now("A", expr, f"{_NAMED} in {{{{horizon}}}}"),
        steps=[(None, "green"), (0.2, "orange"), (0.5, "red")],
        defaults={"unit": "percentunit", "min": 0, "max": 1, "links": to_series(site, "${__field.labels.series}")},
    )


def _list(site: Site) -> Panel:
    seconds = {name: override(name, unit="s") for name in ("p10_seconds", "p50_seconds", "p90_seconds")}
    overrides = [
        override("series", links=to_series(site, "${__value.raw}")),
        override("probability", unit="percentunit"),
        *seconds.values(),
    ]
    target = rows("A", "/api/v1/capacity", _COLUMNS, OF_SERVICE)
    return table("Series with a bound", 24, 10, target, sort="probability", overrides=overrides)


def _ahead() -> Panel:
    targets = [
        over_time("A", f"foreband_actual{_OF}", "value"),
        over_time("B", f"foreband_yhat{_OF}", "expected"),
    ]
    dashed = override("expected", color=fixed("blue"), custom__lineStyle={"fill": "dash", "dash": [8, 6]})
    return lines(
        "Value and what is expected", 24, 9, *targets, overrides=[override("value", color=fixed("text")), dashed]
    )
