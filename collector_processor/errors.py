"""Two kinds of failure a sender can meet, and one an operator can.

A sender decides on retrying from the kind alone; `otlp/status.py` is the only table from kinds to
gRPC codes, and the Grafana side's one error handler the only table to HTTP codes.
"""


class ForebandError(Exception):
    """Base of every error Foreband raises on purpose."""


class ConfigError(ForebandError):
    """The configuration is wrong; the message names file, line and key. Foreband does not start."""


class PermanentError(ForebandError):
    """The same input would fail again: the sender must not retry."""


class MalformedRequestError(PermanentError):
    """The bytes are not a valid request of their kind."""


class TooLargeError(PermanentError):
    """The request is larger than a stated limit; the message names the limit."""


class InvalidQueryError(PermanentError):
    """A question that can't be answered as asked; the message names the offending part."""


class UnknownError(PermanentError):
    """There is nothing of the name that was given."""


class RetryableError(ForebandError):
    """Not now: the same input may succeed after `retry_after_seconds`."""

    def __init__(self, message: str, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class StoreError(RetryableError):
    """The store could not take or give data; nothing was acknowledged."""


class NotEnoughDataError(ForebandError):
    """A series is too short, too empty or too constant to fit; the message says which."""
