"""What a person chooses above a dashboard."""

from grafana_datasource.provisioning.names import CHOSEN_PROMETHEUS, INFINITY, PROMETHEUS, Json


def sources() -> list[Json]:
    """Return the variables that every dashboard has: which Foreband, through either data source."""
    return [
        _source("prometheus", "Data source", PROMETHEUS, "Foreband"),
        _source("infinity", "JSON data source", INFINITY, "Foreband JSON"),
    ]


def service() -> Json:
    """Choose a service, or all of them."""
    return _query("service", "Service", "label_values(foreband_info, service_name)") | _ALL


def metric() -> Json:
    """Choose a metric of the service, or all of them."""
    return _query("metric", "Metric", 'label_values(foreband_info{service_name=~"$service"}, metric)') | _ALL


def series() -> Json:
    """Choose a series by its title and keep its id, which never changes."""
    query = 'query_result(foreband_info{service_name=~"$service",metric=~"$metric"})'
    regex = '/series="(?<value>[^"]*)".*title="(?<text>[^"]*)"/'
    return _query("series", "Series", query) | {"regex": regex}


def level() -> Json:
    """Choose how wide the calibrated band is."""
    widths = ["0.8", "0.95", "0.99"]
    options = [{"text": width, "value": width, "selected": width == "0.95"} for width in widths]
    return {
        "name": "level",
        "label": "Band",
        "type": "custom",
        "query": ",".join(widths),
        "options": options,
        "current": {"text": "0.95", "value": "0.95"},
        "multi": False,
        "includeAll": False,
    }


def episode() -> Json:
    """Name an episode; links fill it in."""
    return {"name": "episode", "label": "Episode", "type": "textbox", "query": "", "current": {"text": "", "value": ""}}


_ALL: Json = {"includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}


def _source(name: str, label: str, reference: Json, text: str) -> Json:
    return {
        "name": name,
        "label": label,
        "type": "datasource",
        "query": reference["type"],
        "current": {"text": text, "value": reference["uid"]},
        "includeAll": False,
        "multi": False,
    }


def _query(name: str, label: str, query: str) -> Json:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": CHOSEN_PROMETHEUS,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": False,
        "includeAll": False,
    }
