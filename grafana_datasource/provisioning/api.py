"""Bring everything into a running Grafana over its HTTP API; doing it again changes nothing that is already so.

What is brought this way stays editable in Grafana; the next time overwrites it.
"""

import json
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from collector_processor.errors import ForebandError
from grafana_datasource.provisioning.alerting import INTERVAL_SECONDS, RULES
from grafana_datasource.provisioning.dashboards import dashboards
from grafana_datasource.provisioning.datasources import datasources
from grafana_datasource.provisioning.names import FOLDER, FOLDER_UID, RULE_GROUP, Json
from grafana_datasource.provisioning.site import Site

_TIMEOUT_SECONDS = 30.0
_NOT_FOUND = 404
_OWN_TO_GRAFANA = {"id", "version"}


class GrafanaError(ForebandError):
    """Grafana did not do what it was asked; the message says what and why."""


class Grafana:
    """The HTTP API of one Grafana; `token` is that of a service account that may change data sources and alert rules.

    Raises:
        GrafanaError: from every method, if nobody answers or the answer is a refusal.
    """

    def __init__(self, url: str, token: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise GrafanaError(f"{url}: should begin with http:// or https://")
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    def find(self, path: str) -> Any:
        """Get something, None where there is no such thing."""
        try:
            return self._ask("GET", path, None)
        except HTTPError as error:
            if error.code == _NOT_FOUND:
                return None
            raise GrafanaError(_refusal("GET", path, error)) from None

    def send(self, method: str, path: str, body: Json) -> None:
        """Change something."""
        try:
            self._ask(method, path, body)
        except HTTPError as error:
            raise GrafanaError(_refusal(method, path, error)) from None

    def _ask(self, method: str, path: str, body: Json | None) -> Any:
        headers = self._headers | {"Content-Type": "application/json", "X-Disable-Provenance": "true"}
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self._url}{path}", data, headers, method=method)  # noqa: S310 - its scheme was checked
        try:
            with urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
                return json.load(response)
        except HTTPError:
            raise
        except ValueError:
            raise GrafanaError(
                f"{self._url}{path}: the answer is no JSON: is it a Grafana, and this its address?"
            ) from None
        except (URLError, OSError) as error:
            raise GrafanaError(f"{self._url}: nobody answers: {getattr(error, 'reason', error)}") from error


def bring(grafana: Grafana, site: Site) -> list[str]:
    """Create what is missing, overwrite what differs, and return a line on each thing.

    Raises:
        GrafanaError: at the first thing that does not work; what was done before it stays done.
    """
    told = [_bring_source(grafana, source) for source in datasources(site)]
    told.append(_bring_folder(grafana))
    told += [_bring_dashboard(grafana, board) for board in dashboards(site)]
    told.append(_bring_rules(grafana, site))
    return told


def _bring_source(grafana: Grafana, source: Json) -> str:
    """Create or overwrite a data source; secrets can't be read back, so it is always sent."""
    path = f"/api/datasources/uid/{quote(source['uid'])}"
    if grafana.find(path) is None:
        grafana.send("POST", "/api/datasources", source)
        return f"created data source {source['name']}"
    grafana.send("PUT", path, source)
    return f"renewed data source {source['name']}"


def _bring_folder(grafana: Grafana) -> str:
    if grafana.find(f"/api/folders/{FOLDER_UID}") is not None:
        return f"kept folder {FOLDER}"
    grafana.send("POST", "/api/folders", {"uid": FOLDER_UID, "title": FOLDER})
    return f"created folder {FOLDER}"


def _bring_dashboard(grafana: Grafana, board: Json) -> str:
    """Save a dashboard unless it is there as it is: every save is a version of its own in Grafana."""
    found = grafana.find(f"/api/dashboards/uid/{quote(board['uid'])}")
    if found is not None and _content(found["dashboard"]) == _content(board):
        return f"kept dashboard {board['title']}"
    body = {"dashboard": board, "folderUid": FOLDER_UID, "overwrite": True, "message": "foreband grafana provision"}
    grafana.send("POST", "/api/dashboards/db", body)
    return f"{'created' if found is None else 'renewed'} dashboard {board['title']}"


def _bring_rules(grafana: Grafana, site: Site) -> str:
    """Replace the whole group, which is one request and leaves no rule of an older version behind."""
    rules = [rule.as_request(site) for rule in RULES]
    group = {"title": RULE_GROUP, "folderUid": FOLDER_UID, "interval": INTERVAL_SECONDS, "rules": rules}
    grafana.send("PUT", f"/api/v1/provisioning/folder/{FOLDER_UID}/rule-groups/{RULE_GROUP}", group)
    return f"wrote {len(rules)} alert rules"


def _content(board: Json) -> Json:
    return {name: value for name, value in board.items() if name not in _OWN_TO_GRAFANA}


def _refusal(method: str, path: str, error: HTTPError) -> str:
    try:
        said = str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError):
        said = error.reason or "no reason given"
    is_missing = error.code == _NOT_FOUND
    hint = "; a Grafana has that: is this its address?" if is_missing else ""
    return f"{method} {path}: Grafana answered {error.code}: {said[:500]}{hint}"
