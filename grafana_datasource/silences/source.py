"""Ask an Alertmanager, or Grafana where it is one, for its silences."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

import orjson

from collector_processor.errors import InvalidQueryError, TooLargeError

_TIMEOUT_SECONDS = 10.0
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class SilenceSource:
    """Where silences are, without `/api/v2/silences`; `headers` say who asks, and are not shown."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    every_seconds: float = 30.0

    def listed(self) -> list[Any]:
        """Return all silences there are, as they are written there.

        Raises:
            OSError, HTTPException: if nobody answers, or the answer is a refusal or leads elsewhere.
            InvalidQueryError: if a header cannot be sent, or the answer is no list.
            TooLargeError: if the answer is too long.
        """
        headers = {"Accept": "application/json", **self.headers}
        request = Request(f"{self.url.rstrip('/')}/api/v2/silences", headers=headers)  # noqa: S310 - its scheme was checked
        try:
            with _OPENER.open(request, timeout=_TIMEOUT_SECONDS) as response:
                body = response.read(_MOST_BYTES + 1)
        except ValueError:
            raise InvalidQueryError("one of silences.headers cannot be sent") from None  # its own message would show it
        if len(body) > _MOST_BYTES:
            raise TooLargeError(f"the list of silences is longer than {_MOST_BYTES >> 20} MiB")
        return _list_of(body)


def _list_of(body: bytes) -> list[Any]:
    try:
        listed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidQueryError(f"the answer is no JSON: {error}") from None
    if not isinstance(listed, list):
        raise InvalidQueryError("the answer is no list of silences")
    return listed


def _opener() -> OpenerDirector:
    """Return what opens addresses and follows nobody elsewhere: a sign-in page is no list of silences."""
    opener = OpenerDirector()
    handlers = (ProxyHandler(), HTTPHandler(), HTTPSHandler(), HTTPErrorProcessor(), HTTPDefaultErrorHandler())
    for handler in handlers:
        opener.add_handler(handler)
    return opener


_OPENER = _opener()
