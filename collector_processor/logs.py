"""Foreband's own log: plain lines where a person reads them, JSON where a machine does."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from collector_processor.config import LogConfig

_NOISY = ("prophet", "cmdstanpy", "waitress", "werkzeug", "prophet.plot")


def set_up_logging(config: LogConfig, stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (default: standard error) in the configured format."""
    stream = stream or sys.stderr
    is_json = config.format == "json" or (config.format == "auto" and not stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_JsonFormatter() if is_json else _PlainFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.level.upper())
    logging.captureWarnings(capture=True)  # a library's own line among those of JSON could not be read
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("grpc._cython.cygrpc").addFilter(_tells_no_header)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it warns of every request that waits for a moment


class _PlainFormatter(logging.Formatter):
    """`12:34:56 info  store: message`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        line = f"{at} {record.levelname.lower():7} {record.name.rpartition('.')[2]}: {_one_line(record.getMessage())}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _JsonFormatter(logging.Formatter):
    """One object a line, OpenTelemetry's field names."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def _tells_no_header(record: logging.LogRecord) -> bool:
    """Leave out what gRPC says of a header that is no text: its value, which may be a token."""
    return not record.getMessage().startswith("Invalid encoding on")


def _one_line(text: str) -> str:
    """Keep text from outside from forging further log lines."""
    return text.replace("\r", "\\r").replace("\n", "\\n")
