"""Ask for a token before anything of the store is told."""

from collections.abc import Callable, Mapping

from flask import Flask, Response, request

from grafana_datasource.replies import failure

TOKEN_HEADER = "X-Foreband-Token"  # noqa: S105 - the name of a header
"""For clients whose `Authorization` header means something else."""

_OPEN = {"healthz", "page.index", "page.asset", "page.favicon", "runbooks.all", "runbooks.one", "hooks.grafana"}
"""The last of them looks at a signature instead."""

_SCHEME = "bearer "

_SCOPES = {
    **dict.fromkeys(("feedback.answer", "feedback.missed", "feedback.undo"), "admin"),
    "hooks.alertmanager": "hook",
}
"""What takes another scope than `read`."""

May = Callable[[str], bool]
"""Tells whether whoever has this token may."""


def scope_of(endpoint: str | None) -> str:
    """Return the scope of token a route takes, empty where it takes none."""
    return "" if endpoint in _OPEN else _SCOPES.get(endpoint or "", "read")


def require_token(app: Flask, may: Mapping[str, May]) -> None:
    """Answer 401 to every request without a valid token, but for the page's own files and what has a lock of its own.

    `may` tells by scope whether whoever has a token may.
    """

    def check() -> Response | None:
        scope = scope_of(request.endpoint)
        if not scope or may[scope](_token()):
            return None
        if any(is_known(_token()) for is_known in may.values()):
            return failure(403, "forbidden", f"this takes a token of scope {scope}")
        refused = failure(401, "unauthorized", f"a valid bearer token is required, or one in {TOKEN_HEADER}")
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused

    app.before_request(check)


def _token() -> str:
    header = request.headers.get("Authorization", "")
    if header.lower().startswith(_SCHEME):
        return header[len(_SCHEME) :].strip()
    return request.headers.get(TOKEN_HEADER, "").strip()
