"""Serve what to do about an alert: the section of `docs/runbooks.md` that a rule links to."""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

_HEADING = re.compile(r"^## (\S+)\n", re.MULTILINE)


def runbook_routes() -> Blueprint:
    """Return the routes below `/runbooks`."""
    routes = Blueprint("runbooks", __name__, url_prefix="/runbooks")
    routes.add_url_rule("", "all", lambda: _told("\n".join(sections().values())))
    routes.add_url_rule("/<rule>", "one", _one)
    return routes


@cache
def sections() -> dict[str, str]:
    """Return the section of every rule, heading included, by what its rule is called."""
    packaged = files("grafana_datasource") / "_data" / "runbooks.md"
    source = Path(__file__).parent.parent / "docs" / "runbooks.md"
    text = (packaged if packaged.is_file() else source).read_text(encoding="utf-8")
    parts = _HEADING.split(text)[1:]
    return {name: f"## {name}\n{body}" for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _one(rule: str) -> Response:
    found = sections().get(rule)
    if found is None:
        raise NotFound(f"no runbook {rule:.80}")
    return _told(found)


def _told(text: str) -> Response:
    return Response(text, content_type="text/plain; charset=utf-8")
