"""Ask for a token before anything of the store is told."""

from collections.abc import Callable

from flask import Flask, Response, request

from grafana_datasource.replies import failure

TOKEN_HEADER = "X-Foreband-Token"  # noqa: S105 - the name of a header
"""For clients whose `Authorization` header means something else."""

_OPEN = {"healthz", "page.index", "page.asset", "page.favicon", "runbooks.all", "runbooks.one"}
_SCHEME = "bearer "

_ANSWERS = {"feedback.answer", "feedback.missed", "feedback.undo"}

May = Callable[[str], bool]
"""Tells whether whoever has this token may."""


def scope_of(endpoint: str | None) -> str:
    """Return the scope of token a route takes, empty where it takes none."""
    if endpoint in _OPEN:
        return ""
    return "admin" if endpoint in _ANSWERS else "read"


def require_token(app: Flask, may_read: May, may_answer: May) -> None:
    """Answer 401 to every request without a valid token, but for the page's own files and `/healthz`."""

    def check() -> Response | None:
        scope = scope_of(request.endpoint)
        may = may_answer if scope == "admin" else may_read
        if not scope or may(_token()):
            return None
        if may is may_answer and may_read(_token()):
            return failure(403, "forbidden", "answering an episode takes a token of scope admin")
        refused = failure(401, "unauthorized", f"a valid bearer token is required, or one in {TOKEN_HEADER}")
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused

    app.before_request(check)


def _token() -> str:
    header = request.headers.get("Authorization", "")
    if header.lower().startswith(_SCHEME):
        return header[len(_SCHEME) :].strip()
    return request.headers.get(TOKEN_HEADER, "").strip()
