"""Small pictures of many series at once: value, band and anomalies in few columns."""

from typing import Any

from collector_processor.telemetry.points import Float64
from grafana_datasource.backend import Session
from grafana_datasource.directory import Entry
from grafana_datasource.query import MILLISECOND, TimeRange
from grafana_datasource.view import timeline


def spark(session: Session, entry: Entry, span: TimeRange, most: int) -> dict[str, Any]:
    """Return at most about `most` points of one series, extremes and the most anomalous included."""
    view = timeline(session.reader, session.outlook, entry.series, span, session.budget, most)
    return {
        "series": entry.stable_id,
        "time": (view.time_unix_nano // MILLISECOND).tolist(),
        "value": _column(view.value),
        "lower": _column(view.lower),
        "upper": _column(view.upper),
        "anomaly": _column(view.anomaly),
    }


def _column(values: Float64) -> list[float]:
    column: list[float] = values[0].tolist()
    return column
