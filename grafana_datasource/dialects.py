"""The same numbers under the names of other tools, so that their dashboards and alert rules move over.

Grafana Cloud's machine learning (`<metric>:predicted`), Grafana's PromQL anomaly detection (`anomaly:upper_band`) and
VictoriaMetrics' vmanomaly (`anomaly_score`). They are answered where a selector names them and not listed otherwise.
"""

from collections.abc import Callable, Mapping

import numpy as np

from collector_processor.telemetry.points import Float64
from collector_processor.telemetry.series import Statistic
from grafana_datasource.directory import Entry
from grafana_datasource.families import Family
from grafana_datasource.outlook import Outlook
from grafana_datasource.view import View

Values = Callable[[Outlook, View], Float64]

_ANOMALY_TYPES = {
    Statistic.RATE: "requests",
    Statistic.MEAN: "latency",
    Statistic.P50: "latency",
    Statistic.P95: "latency",
    Statistic.P99: "latency",
    Statistic.ERROR_RATIO: "errors",
}


def _stored_labels(entry: Entry) -> Mapping[str, str]:
    return entry.labels


def _promql_framework(entry: Entry) -> Mapping[str, str]:
    return {
        **entry.labels,
        "anomaly_name": entry.name,
        "anomaly_type": _ANOMALY_TYPES.get(entry.key.statistic, "resource"),
        "anomaly_strategy": "adaptive",
        "anomaly_select": "1",
    }


def _vmanomaly(entry: Entry) -> Mapping[str, str]:
    return {**entry.labels, "for": entry.name, "model_alias": "foreband", "scheduler_alias": "foreband"}


def _predicted(which: str, values: Values) -> Family:
    return Family(":predicted", (("ml_forecast", which),), values, is_forecast=True, describe=_stored_labels)


DIALECTS = (
    _predicted("yhat", lambda _, view: view.yhat),
    _predicted("yhat_lower", lambda _, view: view.lower),
    _predicted("yhat_upper", lambda _, view: view.upper),
    Family(":actual", (), lambda _, view: view.value, describe=_stored_labels),
    Family(":anomalous", (), lambda _, view: view.anomaly, describe=_stored_labels),
    Family("anomaly:level", (), lambda _, view: view.value, describe=_promql_framework),
    Family("anomaly:lower_band", (), lambda _, view: view.lower, is_forecast=True, describe=_promql_framework),
    Family("anomaly:upper_band", (), lambda _, view: view.upper, is_forecast=True, describe=_promql_framework),
    Family("y", (), lambda _, view: view.value, describe=_vmanomaly),
    Family("yhat", (), lambda _, view: view.yhat, is_forecast=True, describe=_vmanomaly),
    Family("yhat_lower", (), lambda _, view: view.lower, is_forecast=True, describe=_vmanomaly),
    Family("yhat_upper", (), lambda _, view: view.upper, is_forecast=True, describe=_vmanomaly),
    Family("anomaly_score", (), lambda _, view: np.abs(view.score), describe=_vmanomaly),
)
"""All families that other tools would name so; their bands are the alert band."""
