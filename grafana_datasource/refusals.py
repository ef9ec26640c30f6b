"""Word what the web server refuses on its own as the API words errors: too large, malformed, too much at once."""

from collector_processor.web.guard import Head, Reply
from grafana_datasource.replies import dump, failed

_KINDS = {413: "bad_data", 431: "bad_data", 400: "bad_data", 503: "unavailable"}


class JsonGuard:
    """Admits everybody, and refuses in JSON."""

    def admit(self, head: Head) -> None:
        """Return None."""
        del head

    def refuse(self, code: int, text: str, head: Head) -> Reply:
        """Return the text as an error of the API."""
        del head
        return Reply(code, "application/json", dump(failed(_KINDS.get(code, "internal"), text)))
