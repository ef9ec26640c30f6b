"""The dashboards, from all series at a glance to one of them, and Foreband itself."""

from grafana_datasource.provisioning.dashboards.capacity import capacity
from grafana_datasource.provisioning.dashboards.fleet import fleet
from grafana_datasource.provisioning.dashboards.health import health
from grafana_datasource.provisioning.dashboards.incidents import incidents
from grafana_datasource.provisioning.dashboards.series import one_series
from grafana_datasource.provisioning.dashboards.services import services
from grafana_datasource.provisioning.names import Json
from grafana_datasource.provisioning.site import Site

__all__ = ["dashboards"]


def dashboards(site: Site) -> list[Json]:
    """Return all dashboards."""
    return [board(site) for board in (fleet, one_series, services, incidents, capacity, health)]
