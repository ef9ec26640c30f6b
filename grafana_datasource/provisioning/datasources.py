"""Describe Foreband as data sources: Prometheus (the default), Infinity and, where asked for, simPod's JSON."""

from grafana_datasource.provisioning.names import INFINITY, PROMETHEUS, SIMPOD, Json
from grafana_datasource.provisioning.site import Site
from grafana_datasource.standing import API_VERSION

_HEADER, _VALUE = "httpHeaderName1", "httpHeaderValue1"


def datasources(site: Site) -> list[Json]:
    """Return all data sources, in a shape that files and the HTTP API share.

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
    trace = site.trace_link("${__value.raw}")
    if trace:
        prometheus["exemplarTraceIdDestinations"] = [{"name": "trace_id", "url": trace, "urlDisplayLabel": "Trace"}]
    infinity = {
        "allowedHosts": [site.url],
        "timeoutInSeconds": 30,
        "customHealthCheckEnabled": True,
        "customHealthCheckUrl": f"{site.url}/healthz",
    }
    found = [
        _source("Foreband", PROMETHEUS, f"{site.url}/prom", prometheus, site),
        _source("Foreband JSON", INFINITY, site.url, infinity, site),
    ]
    if site.has_simpod:
        found.append(_source("Foreband simPod", SIMPOD, f"{site.url}/grafana", {}, site))
    return found


def _source(name: str, reference: Json, url: str, options: Json, site: Site) -> Json:
    """Return one data source, which sends the token as a bearer header."""
    source = {"name": name, **reference, "access": "proxy", "url": url, "jsonData": options}
    if site.token:
        source["jsonData"] = options | {_HEADER: "Authorization"}
        source["secureJsonData"] = {_VALUE: f"Bearer {site.token}"}
    return source
