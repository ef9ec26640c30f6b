"""Reading answers the way a strict client does."""

import json
from typing import Any

from werkzeug.test import TestResponse


def body_of(response: TestResponse, status: int = 200) -> Any:
    """Parse JSON, refusing the tokens NaN and Infinity, after checking status and type."""
    assert response.status_code == status, response.get_data(as_text=True)[:500]
    assert response.mimetype == "application/json"
    return json.loads(response.get_data(as_text=True), parse_constant=_refuse)


def error_of(response: TestResponse, status: int) -> str:
    """Return the message of an error answer after checking its one shape."""
    body = body_of(response, status)
    assert set(body) == {"status", "errorType", "error"}
    assert body["status"] == "error"
    assert "Traceback" not in body["error"]
    assert "/site-packages/" not in body["error"]
    return str(body["error"])


def _refuse(token: str) -> float:
    raise AssertionError(f"{token} is no JSON")
