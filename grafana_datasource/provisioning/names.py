"""Identifiers that Grafana's files refer to each other by.

Dashboards refer to data sources by variables, so that a person may choose another one; rules can't, and name them.
"""

from typing import Any

Json = dict[str, Any]

FOLDER, FOLDER_UID = "Foreband", "foreband"
RULE_GROUP = "foreband"

PROMETHEUS: Json = {"type": "prometheus", "uid": "foreband-prometheus"}
INFINITY: Json = {"type": "yesoreyeram-infinity-datasource", "uid": "foreband-infinity"}
SIMPOD: Json = {"type": "simpod-json-datasource", "uid": "foreband-simpod"}
EXPRESSION: Json = {"type": "__expr__", "uid": "__expr__"}

CHOSEN_PROMETHEUS: Json = PROMETHEUS | {"uid": "${prometheus}"}
CHOSEN_INFINITY: Json = INFINITY | {"uid": "${infinity}"}

FLEET, SERIES, SERVICES = "foreband-fleet", "foreband-series", "foreband-services"
INCIDENTS, CAPACITY, HEALTH = "foreband-incidents", "foreband-capacity", "foreband-health"
