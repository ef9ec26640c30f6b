"""Identifiers that Grafana's files refer to each other by."""

PROMETHEUS_UID = "foreband-prometheus"
INFINITY_UID = "foreband-infinity"
DASHBOARD_UID = "foreband-bands"
FOLDER = "Foreband"

PROMETHEUS = {"type": "prometheus", "uid": PROMETHEUS_UID}
INFINITY = {"type": "yesoreyeram-infinity-datasource", "uid": INFINITY_UID}
EXPRESSION = {"type": "__expr__", "uid": "__expr__"}
