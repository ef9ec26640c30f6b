"""Serve the page and its files: plain modules, nothing built and nothing fetched from anywhere else.

Their address carries a digest of all of them, so browsers may keep them for ever.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources import files

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_INDEX = "index.html"
_ICON = "icon.svg"
_MODULES = "<!-- modules -->"
_THEME = "theme.js"  # a plain script: it runs before anything is painted


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, plain and compressed."""

    plain: bytes
    gzipped: bytes
    content_type: str
    digest: str


def page_routes() -> Blueprint:
    """Return the routes of the page."""
    routes = Blueprint("page", __name__)
    routes.add_url_rule("/", "index", lambda: _answer(_index(), "no-cache"))
    routes.add_url_rule("/favicon.ico", "favicon", lambda: _answer(_assets()[_ICON], "max-age=86400"))
    routes.add_url_rule("/page/<digest>/<name>", "asset", _asset)
    return routes


def _asset(digest: str, name: str) -> Response:
    asset = _assets().get(name)
    if asset is None or digest != _digest():
        raise NotFound(f"no file {name}")
    return _answer(asset, "public, max-age=31536000, immutable")


def _answer(asset: Asset, caching: str) -> Response:
    response = Response(asset.plain, content_type=asset.content_type)
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = caching
    if request.accept_encodings["gzip"] > 0:
        response.set_data(asset.gzipped)
        response.headers["Content-Encoding"] = "gzip"
    response.set_etag(asset.digest)
    response.make_conditional(request)
    return response


@cache
def _assets() -> Mapping[str, Asset]:
    """Read and compress every file once, when the first browser comes."""
    found = sorted((files("grafana_datasource.page") / "static").iterdir(), key=lambda each: each.name)
    return {each.name: _packed(each.name, each.read_bytes()) for each in found if each.name != _INDEX}


@cache
def _index() -> Asset:
    """Let the page name every module, so that a browser need not find them one behind the other."""
    html = (files("grafana_datasource.page") / "static" / _INDEX).read_text()
    modules = [name for name in _assets() if name.endswith(".js") and name != _THEME]
    html = html.replace(_MODULES, "\n  ".join(f'<link rel="modulepreload" href="{name}">' for name in modules))
    for name in _assets():
        html = html.replace(f'"{name}"', f'"page/{_digest()}/{name}"')
    return _packed(_INDEX, html.encode())


@cache
def _digest() -> str:
    return blake2b("".join(asset.digest for asset in _assets().values()).encode(), digest_size=8).hexdigest()


def _packed(name: str, content: bytes) -> Asset:
    kind = _TYPES.get(name.rsplit(".", 1)[-1], "text/html; charset=utf-8")
    return Asset(content, gzip.compress(content, 6, mtime=0), kind, blake2b(content, digest_size=8).hexdigest())
