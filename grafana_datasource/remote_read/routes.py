"""Answer remote read below `/prom`."""

from flask import Blueprint, Response, request

from collector_processor.errors import TooLargeError
from grafana_datasource.backend import Backend
from grafana_datasource.remote_read.snappy import decompressed, wrapped
from grafana_datasource.remote_read.wire import questions, response
from grafana_datasource.session_source import SessionSource

_LONGEST_REQUEST = 1 << 20


def remote_read_routes(backend: Backend) -> Blueprint:
    """Return the route."""
    routes = Blueprint("remote_read", __name__, url_prefix="/prom")
    routes.add_url_rule("/api/v1/read", "read", lambda: _read(backend), methods=["POST"])
    return routes


def _read(backend: Backend) -> Response:
    asked = questions(decompressed(request.get_data(), _LONGEST_REQUEST))
    with backend.session() as session:
        source = SessionSource(session)
        answers = [source.samples(question.matchers, question.start, question.end) for question in asked]
        samples, most = sum(answer.time.size for answer in answers), session.limits.samples_returned
        if samples > most:
            raise TooLargeError(f"{samples} samples in the answer, the limit is {most}: name fewer series")
    headers = {"Content-Encoding": "snappy", "Cache-Control": "no-store"}
    return Response(wrapped(response(answers)), headers=headers, content_type="application/x-protobuf")
