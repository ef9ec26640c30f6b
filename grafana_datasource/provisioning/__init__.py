"""Data sources, dashboards and alert rules for a Grafana, from one description.

>>> from pathlib import Path
>>> from grafana_datasource.provisioning import Site, write_provisioning
>>> write_provisioning(Path("grafana"), Site("http://foreband:8080"))  # doctest: +SKIP
"""

from grafana_datasource.provisioning.api import Grafana, bring
from grafana_datasource.provisioning.files import provisioning_files, write_provisioning
from grafana_datasource.provisioning.site import Site

__all__ = ["Grafana", "Site", "bring", "provisioning_files", "write_provisioning"]
