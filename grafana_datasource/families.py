"""The metrics Foreband derives from every modelled series, and how each is read off a view."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from collector_processor.clock import DAY, HOUR
from collector_processor.telemetry.band import INTERVAL_WIDTHS
from collector_processor.telemetry.points import Float64
from collector_processor.telemetry.titles import full_title
from grafana_datasource.directory import Entry
from grafana_datasource.horizon import COMPONENTS
from grafana_datasource.outlook import Outlook
from grafana_datasource.view import View, calibrated_band, component, prophet_band, yhat_after


def own_labels(entry: Entry) -> Mapping[str, str]:
    """Return the labels of all metrics that are Foreband's own."""
    return entry.own


@dataclass(frozen=True, slots=True)
class Family:
    """One derived metric: its name, the labels it adds, and its values `(k, n)` in a view.

    A name that begins with a colon goes behind that of each stored metric. `describe` gives the labels of one series,
    to which `has_title` adds one for people; `is_forecast` says that it needs what is expected after the last point.
    """

    metric: str
    labels: tuple[tuple[str, str], ...]
    values: Callable[[Outlook, View], Float64]
    is_forecast: bool = False
    has_title: bool = False
    describe: Callable[[Entry], Mapping[str, str]] = field(default=own_labels)

    def labels_of(self, entry: Entry) -> dict[str, str]:
        """Return all labels of one series' samples but the metric name."""
        title = {"title": full_title(entry.key)} if self.has_title else {}
        return {**self.describe(entry), **dict(self.labels), **title}


HELP = {
    "foreband_actual": "Value as it arrived.",
    "foreband_yhat": "Expected value: the forecast that won the backtest. Future timestamps give the forecast ahead.",
    "foreband_yhat_1h": "What is expected one hour later, from the last point of a live series on.",
    "foreband_yhat_6h": "What is expected six hours later.",
    "foreband_yhat_1d": "What is expected a day later.",
    "foreband_component": "What Prophet's forecast is the sum of, by the label component; of today's model.",
    "foreband_lower": "Lower edge of the band named by the labels band and interval_width.",
    "foreband_upper": "Upper edge of the band named by the labels band and interval_width.",
    "foreband_score": "Signed distance from yhat in half-widths of the alert band; beyond 1 or -1 is outside.",
    "foreband_anomaly": "1 above the alert band, -1 below, 0 inside or not judged; present for every live series.",
    "foreband_state": "0 warming, 1 active, 2 degraded.",
    "foreband_info": "Always 1; the label title names the series for people.",
}


def _edge(side: int, level: int | None, width: float, outlook: Outlook, view: View) -> Float64:
    if level is None:
        return prophet_band(outlook, view, width)[side]
    return calibrated_band(outlook, view, level)[side]


def _later(ahead: int, outlook: Outlook, view: View) -> Float64:
    return yhat_after(outlook, view, ahead)


def _part(name: str, outlook: Outlook, view: View) -> Float64:
    return component(outlook, view, name)


def _edges(metric: str, side: int) -> list[Family]:
    alert: Callable[[Outlook, View], Float64] = (lambda _, view: view.upper) if side else (lambda _, view: view.lower)
    families = [Family(metric, (("band", "alert"),), alert, is_forecast=True)]
    for level, width in enumerate(INTERVAL_WIDTHS):
        shown = ("interval_width", f"{width:g}")
        families += [
            Family(metric, (("band", "calibrated"), shown), partial(_edge, side, level, width), is_forecast=True),
            Family(metric, (("band", "prophet"), shown), partial(_edge, side, None, width), is_forecast=True),
        ]
    return families


DERIVED = (
    Family("foreband_actual", (), lambda _, view: view.value),
    Family("foreband_yhat", (), lambda _, view: view.yhat, is_forecast=True),
    *(
        Family(f"foreband_yhat_{name}", (("horizon", name),), partial(_later, ahead))
        for name, ahead in (("1h", HOUR), ("6h", 6 * HOUR), ("1d", DAY))
    ),
    *(Family("foreband_component", (("component", name),), partial(_part, name)) for name in COMPONENTS),
    *_edges("foreband_lower", 0),
    *_edges("foreband_upper", 1),
    Family("foreband_score", (), lambda _, view: view.score),
    Family("foreband_anomaly", (), lambda _, view: view.anomaly),
    Family("foreband_state", (), lambda _, view: view.state),
    Family("foreband_info", (), lambda _, view: np.ones_like(view.value), has_title=True),
)
"""All derived metrics, in the order they are listed."""

STORED = Family("", (), lambda _, view: view.value, describe=lambda entry: entry.labels)
"""A stored metric itself; its name is that of the series."""
