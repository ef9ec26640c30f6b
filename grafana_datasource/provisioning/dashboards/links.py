"""Where a click leads: to the dashboard of a series or an episode, to the built-in page, to a trace."""

from grafana_datasource.provisioning.names import INCIDENTS, SERIES, SERVICES, Json
from grafana_datasource.provisioning.panels import link
from grafana_datasource.provisioning.site import Site

_RANGE = "${__url_time_range}"


def to_series(site: Site, field: str) -> list[Json]:
    """Lead from a series id in `field` to its dashboard and to its place on the page."""
    return [
        link("Band and forecast", f"/d/{SERIES}?var-series={field}&{_RANGE}"),
        link("Built-in page", f"{site.page}/?series={field}", is_new_tab=True),
    ]


def to_service(site: Site) -> list[Json]:
    """Lead from a service to itself alone, and to its place on the page."""
    name = "${__value.raw:percentencode}"
    return [
        link("This service only", f"/d/{SERVICES}?var-service={name}&{_RANGE}"),
        link("Built-in page", f"{site.page}/?service={name}", is_new_tab=True),
    ]


def to_episode(field: str) -> list[Json]:
    """Lead from an episode id to what explains it."""
    return [link("Why", f"/d/{INCIDENTS}?var-episode={field}&{_RANGE}")]


def to_incident(site: Site, field: str) -> list[Json]:
    """Lead from an incident id to its place on the page."""
    return [link("Causes and evidence", f"{site.page}/?incident={field}", is_new_tab=True)]


def to_trace(site: Site) -> list[Json]:
    """Lead from a trace id to where traces are shown, if they are anywhere."""
    url = site.trace_link("${__value.raw}")
    return [link("Trace", url, is_new_tab=True)] if url else []
