"""One alert rule: what it asks, when it fires, and who is told what; in the shape of files or of the HTTP API."""

from dataclasses import dataclass
from typing import Literal

from grafana_datasource.provisioning.names import EXPRESSION, FOLDER, FOLDER_UID, RULE_GROUP, Json
from grafana_datasource.provisioning.site import Site

Severity = Literal["info", "warning", "critical"]

_LOOK_BACK = 600


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule fires where `query` gives anything but 0 for as long as `pending`, and for `holds` after the last time.

    `slug` names its section in `docs/runbooks.md`, and makes its uid. `no_data` and `error` are the states it takes
    where nothing is answered, or the question fails. `of_series` says that each alert is about one series.
    """

    slug: str
    title: str
    query: Json
    summary: str
    dashboard: str
    severity: Severity = "warning"
    pending: str = "3m"
    holds: str = "5m"
    no_data: Literal["OK", "NoData", "Alerting"] = "OK"
    error: Literal["OK", "Error", "Alerting"] = "Error"
    of_series: bool = True
    is_paused: bool = False

    def as_file(self, site: Site) -> Json:
        """Return it as `alerting/*.yaml` has it."""
        rule = self._common(site) | {"dashboardUid": self.dashboard, "panelId": 1}
        return rule | {"for": self.pending, "keepFiringFor": self.holds}

    def as_request(self, site: Site) -> Json:
        """Return it as the HTTP API has it, which spells some names differently."""
        rule = self._common(site)
        rule["annotations"] |= {"__dashboardUid__": self.dashboard, "__panelId__": "1"}
        return rule | {
            "for": self.pending,
            "keep_firing_for": self.holds,
            "folderUID": FOLDER_UID,
            "ruleGroup": RULE_GROUP,
            "orgID": 1,
        }

    @property
    def uid(self) -> str:
        """Return what Grafana knows it by."""
        return f"foreband-{self.slug}"

    @property
    def alert_labels(self) -> dict[str, str]:
        """Return the labels that all its alerts have, beside those of what they are about."""
        named = {"alertname": self.title, "grafana_folder": FOLDER, "__alert_rule_uid__": self.uid}
        return named | self.labels

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels it adds."""
        return {"severity": self.severity, "source": "foreband"}

    def annotations(self, site: Site) -> dict[str, str]:
        """Return what its alerts tell people."""
        told = {"summary": self.summary, "runbook_url": f"{site.page}/runbooks/{self.slug}"}
        if self.of_series:
            told |= {"series": "{{ $labels.series }}", "page": f"{site.page}/?series={{{{ $labels.series }}}}"}
        return told

    def _common(self, site: Site) -> Json:
        return {
            "uid": self.uid,
            "title": self.title,
            "condition": "C",
            "data": [_asked(self.query), _reduced(), _threshold()],
            "noDataState": self.no_data,
            "execErrState": self.error,
            "labels": self.labels,
            "annotations": self.annotations(site),
            "isPaused": self.is_paused,
        }


def _asked(query: Json) -> Json:
    model = query | {"intervalMs": 60_000, "maxDataPoints": 43_200}
    between = {"from": _LOOK_BACK, "to": 0}
    return {"refId": "A", "datasourceUid": query["datasource"]["uid"], "relativeTimeRange": between, "model": model}


def _reduced() -> Json:
    reduce = {"type": "reduce", "expression": "A", "reducer": "last", "settings": {"mode": "dropNN"}}
    return _expression("B", reduce)


def _threshold() -> Json:
    """Take 1 above and -1 below alike."""
    conditions = [{"evaluator": {"type": "outside_range", "params": [-0.5, 0.5]}}]
    return _expression("C", {"type": "threshold", "expression": "B", "conditions": conditions})


def _expression(ref: str, model: Json) -> Json:
    return {
        "refId": ref,
        "datasourceUid": EXPRESSION["uid"],
        "relativeTimeRange": {"from": 0, "to": 0},
        "model": {"refId": ref, "datasource": EXPRESSION, **model},
    }
