"""Everything as files below Grafana's provisioning directory."""

import json
from pathlib import Path
from typing import Any

import yaml

from grafana_datasource.provisioning.alerting import alerting
from grafana_datasource.provisioning.dashboards import dashboards
from grafana_datasource.provisioning.datasources import datasources
from grafana_datasource.provisioning.names import FOLDER, FOLDER_UID, Json
from grafana_datasource.provisioning.notifications import contact_points, notification_policies
from grafana_datasource.provisioning.rule_file import rule_file
from grafana_datasource.provisioning.site import Site

_DASHBOARDS = "dashboards/foreband"


def provisioning_files(site: Site) -> dict[str, str]:
    """Return the content of every file by its path below Grafana's provisioning directory."""
    boards = {f"{_DASHBOARDS}/{board['uid']}.json": json.dumps(board, indent=2) + "\n" for board in dashboards(site)}
    return {
        "datasources/foreband.yaml": _yaml({"apiVersion": 1, "datasources": _with_org(datasources(site))}),
        "dashboards/foreband.yaml": _yaml(_provider()),
        **boards,
        "alerting/foreband.yaml": _yaml(alerting(site)),
        "prometheus/foreband.yaml": _yaml(rule_file(site)),
        "examples/contact-points.yaml": _yaml(contact_points(site)),
        "examples/notification-policies.yaml": _yaml(notification_policies()),
    }


def write_provisioning(directory: Path, site: Site) -> list[Path]:
    """Write all files below `directory` and return their paths; existing ones are replaced."""
    written = []
    for name, text in provisioning_files(site).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _with_org(sources: list[Json]) -> list[Json]:
    return [{**source, "orgId": 1} for source in sources]


def _provider() -> Json:
    """Return what makes Grafana load the dashboards beside it."""
    provider = {
        "name": "foreband",
        "orgId": 1,
        "folder": FOLDER,
        "folderUid": FOLDER_UID,
        "type": "file",
        "disableDeletion": False,
        "updateIntervalSeconds": 30,
        "allowUiUpdates": False,
        "options": {"path": f"/etc/grafana/provisioning/{_DASHBOARDS}"},
    }
    return {"apiVersion": 1, "providers": [provider]}


class _PlainDumper(yaml.SafeDumper):
    """Writes equal parts out instead of referring from one to the other."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _yaml(document: Json) -> str:
    return yaml.dump(document, Dumper=_PlainDumper, sort_keys=False, width=110, allow_unicode=True)
