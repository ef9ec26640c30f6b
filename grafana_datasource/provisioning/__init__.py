"""Grafana provisioning files: data sources, a dashboard and alert rules, generated from one description.

    >>> from pathlib import Path
    >>> from grafana_datasource.provisioning import write_provisioning
    >>> write_provisioning(Path("grafana"), "http://foreband:8080")  # doctest: +SKIP

The copies under `files/` are what the generator writes for `DEFAULT_BASE_URL`.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from grafana_datasource.provisioning.alerting import alerting
from grafana_datasource.provisioning.dashboard import dashboard
from grafana_datasource.provisioning.datasources import dashboard_provider, datasources

DEFAULT_BASE_URL = "http://127.0.0.1:8080"


def provisioning_files(base_url: str = DEFAULT_BASE_URL) -> dict[str, str]:
    """Return the content of every file by its path below Grafana's provisioning directory."""
    base = base_url.rstrip("/")
    return {
        "datasources/foreband.yaml": _yaml(datasources(base)),
        "dashboards/foreband.yaml": _yaml(dashboard_provider()),
        "dashboards/foreband/forecast-bands.json": json.dumps(dashboard(), indent=2) + "\n",
        "alerting/foreband.yaml": _yaml(alerting()),
    }


def write_provisioning(directory: Path, base_url: str = DEFAULT_BASE_URL) -> list[Path]:
    """Write all files below `directory` and return their paths; existing ones are replaced."""
    written = []
    for name, text in provisioning_files(base_url).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


class _PlainDumper(yaml.SafeDumper):
    """Writes equal parts out instead of referring from one to the other."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _yaml(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_PlainDumper, sort_keys=False, width=110, allow_unicode=True)
