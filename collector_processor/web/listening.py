"""Say why an address cannot be listened on, and what to do about it."""

import os
import socket

from collector_processor.errors import ConfigError


def cannot_listen(setting: str, listen: str) -> ConfigError:
    """Return the error for a `setting` whose `host:port` was refused; the reason is found by trying it once more."""
    advice = f"stop the program that has it, or give another: --set {setting}=HOST:PORT"
    return ConfigError(f"{setting}: cannot listen on {listen}: {_reason(listen)}; {advice}")


def _reason(listen: str) -> str:
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        socket.create_server((host.strip("[]"), int(port)), family=family).close()
    except socket.gaierror as error:
        return str(error.strerror)
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    return "it was taken a moment ago"
