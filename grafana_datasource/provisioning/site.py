"""Where a Foreband is, for the Grafana that asks it and for the browsers that follow links."""

import json
from dataclasses import dataclass
from urllib.parse import quote

from collector_processor.errors import ForebandError

DEFAULT_URL = "http://127.0.0.1:8080"

TOKEN_VARIABLE = "$FOREBAND_TOKEN"  # noqa: S105 - the name of a variable
"""What stands for the token in files; Grafana reads the variable from its own environment."""

TRACE = "{trace}"
_EXPLORED = {"tempo": {"queryType": "traceql"}, "jaeger": {}}


class SiteError(ForebandError):
    """An address that nobody can follow; the message names it."""


@dataclass(frozen=True, slots=True)
class Site:
    """What differs from one installation to the next.

    `url` is where Grafana reaches Foreband and `page` where browsers do, the same where it is empty. Grafana sends
    `token`, if there is one. `traces` says where a trace is shown: `tempo:UID` or `jaeger:UID` of a data source of the
    same Grafana, or any address with `{trace}` in it; empty where nowhere.

    Raises:
        SiteError: on creation, if one of the addresses is none.
    """

    url: str = DEFAULT_URL
    page: str = ""
    token: str = TOKEN_VARIABLE
    traces: str = ""
    has_simpod: bool = False

    def __post_init__(self) -> None:
        for name in ("url", "page"):
            address = getattr(self, name) or self.url
            if not address.startswith(("http://", "https://")):
                raise SiteError(f"{name} {address!r}: should begin with http:// or https://")
            object.__setattr__(self, name, address.rstrip("/"))
        kind, _, uid = self.traces.partition(":")
        if self.traces and not (kind in _EXPLORED and uid) and TRACE not in self.traces:
            raise SiteError(f"traces {self.traces!r}: should be tempo:UID, jaeger:UID or an address with {TRACE} in it")

    def trace_link(self, trace: str) -> str:
        """Return where a trace is shown, its id being what Grafana puts in the place of `trace`; empty if nowhere."""
        kind, _, uid = self.traces.partition(":")
        if kind not in _EXPLORED:
            return self.traces.replace(TRACE, trace)
        query = {"refId": "A", "datasource": {"type": kind, "uid": uid}, "query": TRACE, **_EXPLORED[kind]}
        pane = {"datasource": uid, "queries": [query], "range": {"from": "now-7d", "to": "now"}}
        panes = quote(json.dumps({"trace": pane}, separators=(",", ":"))).replace(quote(TRACE), trace)
        return f"/explore?schemaVersion=1&panes={panes}"
