"""Describe Foreband as a Prometheus data source (the default) and as an Infinity one, and where dashboards lie."""

from typing import Any

from grafana_datasource.prometheus import API_VERSION
from grafana_datasource.provisioning.names import FOLDER, INFINITY, PROMETHEUS


def datasources(base_url: str) -> dict[str, Any]:
    """Return `datasources/*.yaml`.

    Caching and incremental queries stay off: a refit changes what the same time range means.
    """
    prometheus = {
        "httpMethod": "POST",
        "timeInterval": "60s",
        "prometheusType": "Prometheus",
        "prometheusVersion": API_VERSION,
        "manageAlerts": False,
        "disableRecordingRules": True,
        "cacheLevel": "None",
        "incrementalQuerying": False,
    }
    infinity = {
        "allowedHosts": [base_url],
        "timeoutInSeconds": 30,
        "customHealthCheckEnabled": True,
        "customHealthCheckUrl": f"{base_url}/healthz",
    }
    return {
        "apiVersion": 1,
        "datasources": [
            {"name": "Foreband", **PROMETHEUS, "access": "proxy", "url": f"{base_url}/prom", "jsonData": prometheus},
            {"name": "Foreband JSON", **INFINITY, "access": "proxy", "url": base_url, "jsonData": infinity},
        ],
    }


def dashboard_provider() -> dict[str, Any]:
    """Return `dashboards/*.yaml`, which makes Grafana load the dashboards beside it."""
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": "foreband",
                "orgId": 1,
                "folder": FOLDER,
                "type": "file",
                "disableDeletion": False,
                "updateIntervalSeconds": 30,
                "allowUiUpdates": False,
                "options": {"path": "/etc/grafana/provisioning/dashboards/foreband"},
            }
        ],
    }
