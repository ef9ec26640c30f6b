"""Ask for a token before anything of the store is told."""

from collections.abc import Callable

from flask import Flask, Response, request

from grafana_datasource.replies import failure

TOKEN_HEADER = "X-Foreband-Token"  # noqa: S105 - the name of a header
"""For clients whose `Authorization` header means something else."""

_OPEN = {"healthz", "page.index", "page.asset", "page.favicon"}
_SCHEME = "bearer "

MayRead = Callable[[str], bool]
"""Tells whether whoever has this token may ask."""


def require_token(app: Flask, may_read: MayRead) -> None:
    """Answer 401 to every request without a valid token, but for the page's own files and `/healthz`."""

    def check() -> Response | None:
        if request.endpoint in _OPEN or may_read(_token()):
            return None
        refused = failure(401, "unauthorized", f"a valid bearer token is required, or one in {TOKEN_HEADER}")
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused

    app.before_request(check)


def _token() -> str:
    header = request.headers.get("Authorization", "")
    if header.lower().startswith(_SCHEME):
        return header[len(_SCHEME) :].strip()
    return request.headers.get(TOKEN_HEADER, "").strip()
