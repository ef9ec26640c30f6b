"""Compose the Grafana side: routes, errors, headers, and the server that runs them.

`create_app` gives a Flask application over a store, `serve` runs it in a thread.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from collector_processor.clock import Clock, SystemClock
from collector_processor.errors import (
    ForebandError,
    InvalidQueryError,
    PermanentError,
    RetryableError,
    TooLargeError,
    UnknownError,
)
from collector_processor.kernels import syntax_trees
from collector_processor.policy import PoliciesInForce
from collector_processor.store.base import SeriesReader
from grafana_datasource.access import May, require_token
from grafana_datasource.backend import Backend
from grafana_datasource.budget import QueryTimeoutError
from grafana_datasource.capacity import Capacity
from grafana_datasource.feedback import FeedbackDoor, feedback_routes
from grafana_datasource.hooks.routes import HookDoor, hook_routes
from grafana_datasource.incident_figures import incident_figures
from grafana_datasource.incidents import incident_routes
from grafana_datasource.legacy import legacy_routes
from grafana_datasource.open_episodes import episode_figures
from grafana_datasource.openapi.routes import openapi_routes
from grafana_datasource.outlook import KnownFleet
from grafana_datasource.own_metrics import own_figures
from grafana_datasource.page.routes import page_routes
from grafana_datasource.prometheus import prometheus_routes
from grafana_datasource.proof import SelfProof
from grafana_datasource.query import FailedQueryError, Limits, UnsupportedQueryError
from grafana_datasource.remote_read.routes import remote_read_routes
from grafana_datasource.replies import OrjsonProvider, failure, reply
from grafana_datasource.rows import row_routes
from grafana_datasource.runbooks import runbook_routes
from grafana_datasource.server import Server, serve
from grafana_datasource.service_map import map_routes
from grafana_datasource.summaries import summary_routes

__all__ = ["Server", "Settings", "create_app", "serve"]

logger = logging.getLogger(__name__)

_SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def _always_ready() -> str:
    return ""


def _always() -> bool:
    return True


def _no_metrics() -> bytes:
    return b""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the composing process gives.

    `open_reader` is called at most once per concurrent query; a reader stays open and is used by one thread at a time,
    not always the same. `not_ready` returns why the process is not ready, empty when it is. `metrics_text` returns the
    process' own metrics in Prometheus text format. While `has_memory` says no, questions are refused for
    a moment. Without `may_read` everybody may ask, without `may_answer` everybody may answer episodes, without
    `may_notify` notify. Without a `feedback` door answers are refused, without `hooks` notifications: whoever only
    reads the store has nobody to tell. `policies` tell the kinds and the bounds of series. Models that are
    `known_fleet` to this process are not read from the store.
    """

    open_reader: Callable[[], SeriesReader]
    clock: Clock = field(default_factory=SystemClock)
    not_ready: Callable[[], str] = _always_ready
    metrics_text: Callable[[], bytes] = _no_metrics
    has_memory: Callable[[], bool] = _always
    may_read: May | None = None
    may_answer: May | None = None
    may_notify: May | None = None
    hooks: HookDoor | None = None
    feedback: FeedbackDoor | None = None
    policies: PoliciesInForce = field(default_factory=PoliciesInForce)
    known_fleet: KnownFleet | None = None
    limits: Limits = field(default_factory=Limits)
    concurrent_queries: int = 4
    queue_seconds: float = 2.0
    refresh_seconds: float = 1.0
    max_body_bytes: int = 1 << 20


def create_app(settings: Settings) -> Flask:
    """Build the application; nothing is read from the store before the first request."""
    app = Flask("grafana_datasource", static_folder=None, template_folder=None)
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.max_body_bytes
    OrjsonProvider.install(app)
    if settings.may_read is not None:
        read = settings.may_read
        others = {"admin": settings.may_answer or read, "hook": settings.may_notify or read}
        require_token(app, {"read": read, **others})
    proof, capacity = SelfProof(settings.policies), Capacity(settings.policies)
    backend = Backend(
        settings.open_reader,
        settings.clock,
        settings.limits,
        concurrent=settings.concurrent_queries,
        queue_seconds=settings.queue_seconds,
        refresh_seconds=settings.refresh_seconds,
        has_memory=settings.has_memory,
        figures=(
            proof.figures,
            capacity.figures,
            episode_figures(),
            incident_figures(),
            own_figures(settings.metrics_text),
        ),
        known_fleet=settings.known_fleet,
    )
    app.extensions["foreband"] = backend
    with syntax_trees:
        for routes in (
            prometheus_routes(backend),
            remote_read_routes(backend),
            row_routes(backend, proof, capacity),
            incident_routes(backend),
            summary_routes(backend),
            map_routes(backend),
            legacy_routes(backend),
            openapi_routes(),
            page_routes(),
            runbook_routes(),
        ):
            app.register_blueprint(routes)
        app.register_blueprint(feedback_routes(backend, settings.feedback))
        app.register_blueprint(hook_routes(backend, settings.hooks, settings.feedback))
        _add_operations(app, settings)
    app.register_error_handler(Exception, _answer_error)
    app.after_request(_with_security_headers)
    return app


def _add_operations(app: Flask, settings: Settings) -> None:
    """Add what operators and orchestrators ask."""

    def ready() -> Response:
        reason = settings.not_ready()
        return failure(503, "unavailable", reason) if reason else reply({"status": "ready"})

    app.add_url_rule("/healthz", "healthz", lambda: reply({"status": "ok"}))
    app.add_url_rule("/readyz", "readyz", ready)
    app.add_url_rule(
        "/metrics",
        "metrics",
        lambda: Response(settings.metrics_text(), content_type="text/plain; version=0.0.4; charset=utf-8"),
    )


def _answer_error(error: Exception) -> Response | HTTPException:
    """Translate every error to one JSON shape: the only table from kinds of failure to HTTP codes."""
    match error:
        case HTTPException(code=int(code)) if code >= 400:
            refused = failure(code, "bad_data" if code < 500 else "internal", error.description or error.name)
            refused.headers.extend((name, text) for name, text in error.get_headers() if name == "Allow")
            return refused
        case HTTPException():
            return error
        case QueryTimeoutError():
            return failure(503, "timeout", str(error), error.retry_after_seconds)
        case RetryableError():
            return failure(503, "unavailable", str(error), error.retry_after_seconds)
        case UnsupportedQueryError() | FailedQueryError() | TooLargeError():
            return failure(422, "execution", str(error))
        case UnknownError():
            return failure(404, "bad_data", str(error))
        case InvalidQueryError() | PermanentError():
            return failure(400, "bad_data", str(error))
        case ForebandError():
            return failure(422, "execution", str(error))
    logger.error("a request failed unexpectedly", exc_info=error)
    return failure(500, "internal", "internal error; the log of Foreband has the details")


def _with_security_headers(response: Response) -> Response:
    for name, value in _SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response
