"""Answer episodes from a terminal, over the HTTP door of a running Foreband: `foreband feedback`."""

import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from rich.table import Table

from collector_processor.errors import ForebandError

_TIMEOUT_SECONDS = 30.0


class FeedbackError(ForebandError):
    """The answer was not taken; the message says why."""


def ask(url: str, path: str, body: dict[str, Any] | None, token_file: Path | None) -> Any:
    """Get, or post where there is a `body`, and return what was answered.

    Raises:
        FeedbackError: if nobody answers, or the request was refused.
    """
    if not url.startswith(("http://", "https://")):
        raise FeedbackError(f"{url}: should begin with http:// or https://")
    headers = {"Content-Type": "application/json"}
    if token_file is not None:
        headers["Authorization"] = f"Bearer {token_file.read_text(encoding='utf-8').strip()}"
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{url.rstrip('/')}/api/v1/{path}", data, headers)  # noqa: S310 - its scheme was checked
    try:
        with urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
            return json.load(response)
    except HTTPError as error:
        raise FeedbackError(_message(error)) from None
    except (URLError, OSError, ValueError) as error:
        raise FeedbackError(f"{url}: {error}") from error


def said(row: dict[str, Any]) -> str:
    """Say what an answer did."""
    before, after = row["factor_before"], row["factor_after"]
    return f"{row['id']}: the threshold of its series is now x{after:.3g} (x{before:.3g} before)"


def table_of(rows: list[dict[str, Any]]) -> Table:
    """Lay out the history of answers."""
    table = Table("id", "series", "answer", "episode", "by", "score", "before", "after", "", box=None)
    for row in rows:
        numbers = [f"{row[name]:.3g}" for name in ("score", "factor_before", "factor_after")]
        undone = "" if row["undone"] is None else f"taken back {row['undone_by']}".rstrip()
        table.add_row(row["id"], row["series"], row["answer"], row["episode"], row["by"], *numbers, undone)
    return table


def _message(error: HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.code}"
