"""Write JSON answers: strict, never cached, NaN as null."""

from collections.abc import Sequence
from typing import Any

import orjson
from flask import Flask, Response
from flask.json.provider import JSONProvider

from collector_processor.errors import TooLargeError

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


class OrjsonProvider(JSONProvider):
    """Make Flask read and write JSON by orjson: NaN and infinities are never written, nor accepted."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """Encode as text."""
        return dump(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """Decode; a ValueError where it is no JSON."""
        return orjson.loads(s)

    @classmethod
    def install(cls, app: Flask) -> None:
        """Use this provider in `app`."""
        app.json = cls(app)


def dump(body: Any) -> bytes:
    """Encode strictly: NaN and infinities become null."""
    return orjson.dumps(body, option=_OPTIONS)


def failed(error_type: str, message: str) -> dict[str, str]:
    """Return the one shape all errors have."""
    return {"status": "error", "errorType": error_type, "error": message}


def reply(body: Any, status: int = 200) -> Response:
    """Answer with JSON that nobody may cache: the same time range can mean another forecast later."""
    return Response(dump(body), status, {"Cache-Control": "no-store"}, mimetype="application/json")


def reply_rows(rows: Sequence[Any], most: int) -> Response:
    """Answer with rows.

    Raises:
        TooLargeError: if there are more than `most`.
    """
    if len(rows) > most:
        raise TooLargeError(
            f"{len(rows)} rows in the answer, the limit is {most}: name fewer series or a shorter range"
        )
    return reply(rows)


def failure(status: int, error_type: str, message: str, retry_after_seconds: float | None = None) -> Response:
    """Answer with the one shape all errors have; Prometheus clients show `errorType: error`."""
    response = reply(failed(error_type, message), status)
    if retry_after_seconds is not None:
        response.headers["Retry-After"] = str(max(1, round(retry_after_seconds)))
    return response
