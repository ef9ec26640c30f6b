"""Put panels into rows and rows onto a dashboard: classic JSON, which Grafana 11 to 13 loads."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_datasource.provisioning.names import Json
from grafana_datasource.provisioning.panels import Panel
from grafana_datasource.provisioning.site import Site
from grafana_datasource.provisioning.variables import sources

SCHEMA_VERSION = 39
"""That of Grafana 11.0; later ones migrate it when they load it."""

_COLUMNS = 24
_HEADINGS = 1000  # ids of headings, so that the first panel of every dashboard is number 1
_PAST_DAY = ("now-24h", "now")


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading, or without one where it is empty."""

    title: str
    panels: Sequence[Panel]


def board(
    site: Site,
    uid: str,
    title: str,
    about: str,
    rows: Sequence[Row],
    *,
    variables: Sequence[Json] = (),
    annotations: Sequence[Json] = (),
    time: tuple[str, str] = _PAST_DAY,
) -> Json:
    """Return a dashboard, `about` something; its links lead to the others and to the built-in page."""
    return {
        "uid": uid,
        "title": f"Foreband: {title}",
        "description": about,
        "tags": ["foreband"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": time[0], "to": time[1]},
        "timezone": "browser",
        "links": [
            _link("Foreband", type="dashboards", tags=["foreband"], asDropdown=True, keepTime=True),
            _link("Built-in page", type="link", url=f"{site.page}/", targetBlank=True, icon="external link"),
        ],
        "templating": {"list": [*sources(), *variables]},
        "annotations": {"list": list(annotations)},
        "panels": _placed(rows),
    }


def _placed(rows: Sequence[Row]) -> list[Json]:
    """Lay panels out from left to right and from top to bottom; a line is as high as its highest panel."""
    placed: list[Json] = []
    panel_id = x = y = height = 0
    for number, row in enumerate(rows):
        x, y, height = 0, y + height, 0
        if row.title:
            placed.append(_heading(_HEADINGS + number, row.title, y))
            y += 1
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                x, y, height = 0, y + height, 0
            panel_id += 1
            placed.append(panel.placed(panel_id, x, y))
            x, height = x + panel.width, max(height, panel.height)
    return placed


def _heading(panel_id: int, title: str, y: int) -> Json:
    place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
    return {"id": panel_id, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _link(title: str, **more: object) -> Json:
    return {"title": title, "includeVars": False, "keepTime": False, "targetBlank": False, "tags": [], **more}
