"""Serve the document; browsers and tools may keep it and ask whether it changed."""

from functools import cache
from hashlib import blake2b

from flask import Blueprint, Response, current_app, request

from grafana_datasource.replies import dump


def openapi_routes() -> Blueprint:
    """Return the route of the document, which is written once."""

    @cache
    def written() -> tuple[bytes, str]:
        from grafana_datasource.openapi.document import document  # a tenth of what a start imports

        body = dump(document(current_app))
        return body, blake2b(body, digest_size=8).hexdigest()

    def answer() -> Response:
        body, digest = written()
        response = Response(body, mimetype="application/json", headers={"Cache-Control": "no-cache"})
        response.set_etag(digest)
        response.make_conditional(request)
        return response

    routes = Blueprint("openapi", __name__, url_prefix="/api/v1")
    routes.add_url_rule("/openapi.json", "document", answer)
    return routes
