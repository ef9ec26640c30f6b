"""Series that others have made from spans: the span metrics and service graphs of a Collector or of Tempo.

They come in three published spellings: `calls` and `duration` (the connector, formerly), `traces.span.metrics.*` (the
connector today) with `traces_span_metrics_*` behind a Prometheus, and `traces_spanmetrics_*` (Tempo); service graphs as
`traces_service_graph_request_*`. They are used as they are: the rate, errors and durations of a service that has them
are not derived from its spans a second time.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from collector_processor.telemetry.series import Attributes, AttributeValue, SeriesKey

_PREFIX = re.compile(r"traces_span_?metrics_|span_?metrics_")
_SUFFIX = re.compile(r"(?:_milliseconds|_seconds)?(?:_total|_bucket|_count|_sum)?$")
_GRAPH_PREFIX = "traces_service_graph_request"

_NAMES_KNOWN = 10_000  # a fleet has few, and each many times
_SERVICE = ("service.name", "service_name", "service")
_NAME = ("span.name", "span_name")
_KIND = ("span.kind", "span_kind")
_STATUS = ("status.code", "status_code")


class RedRole(StrEnum):
    """What of an operation a series of span metrics follows."""

    CALLS = "calls"
    DURATION = "duration"


class EdgeRole(StrEnum):
    """What of a pair of services a series of a service graph follows."""

    REQUESTS = "requests"
    FAILED = "failed"
    SERVER_DURATION = "server_duration"
    CLIENT_DURATION = "client_duration"


@dataclass(frozen=True, slots=True)
class MeasuredService:
    """A service as span metrics name it; None where they do not say."""

    name: str
    namespace: str | None
    environment: str | None

    def covers(self, resource: Attributes) -> bool:
        """Tell whether spans of this resource are those of the service."""
        of = dict(resource)
        return of.get("service.name") == self.name and all(
            wanted is None or of.get(key) == wanted
            for key, wanted in (
                ("service.namespace", self.namespace),
                ("deployment.environment.name", self.environment),
            )
        )


@dataclass(frozen=True, slots=True)
class RedSeries:
    """One operation's calls or durations; `span_kind` as Foreband spells it, `is_error` None where it is not said."""

    role: RedRole
    service: MeasuredService
    span_name: str | None
    span_kind: str | None
    is_error: bool | None


@dataclass(frozen=True, slots=True)
class EdgeSeries:
    """Requests from one service to another; `connection_type` is empty for plain calls."""

    role: EdgeRole
    client: str
    server: str
    connection_type: str


_EDGE_ROLES = {
    "": EdgeRole.REQUESTS,
    "_failed": EdgeRole.FAILED,
    "_server": EdgeRole.SERVER_DURATION,
    "_client": EdgeRole.CLIENT_DURATION,
}


def red_of(key: SeriesKey) -> RedSeries | None:
    """Return what a series says of an operation, None for any other series.

    Only a metric with the namespace in its name is believed without the attributes of a span.
    """
    role, is_certain = _role(key.metric)
    if role is None:
        return None
    attributes = dict(key.attributes)
    span_name, kind, status = (_text(attributes, keys) for keys in (_NAME, _KIND, _STATUS))
    if not is_certain and (span_name is None or kind is None):
        return None
    service = _service(key, attributes)
    if service is None:
        return None
    return RedSeries(
        role,
        service,
        span_name,
        kind and kind.lower().removeprefix("span_kind_"),
        None if status is None else status.upper().removeprefix("STATUS_CODE_") in {"ERROR", "2"},
    )


@lru_cache(_NAMES_KNOWN)
def _role(metric: str) -> tuple[RedRole | None, bool]:
    """Return what a metric of that name would follow, and whether the name alone says so."""
    base = _SUFFIX.sub("", metric.lower().replace(".", "_"))
    prefix = _PREFIX.match(base)
    name = base[prefix.end() :] if prefix else base
    if name not in {"calls", "duration", "latency"} or (name == "latency" and not prefix):
        return None, False
    return (RedRole.CALLS if name == "calls" else RedRole.DURATION), prefix is not None


def edge_of(key: SeriesKey) -> EdgeSeries | None:
    """Return what a series says of two services, None for any other series."""
    name = key.metric.lower().replace(".", "_")
    if not name.startswith(_GRAPH_PREFIX):
        return None
    role = _EDGE_ROLES.get(_SUFFIX.sub("", name.removeprefix(_GRAPH_PREFIX)))
    attributes = dict(key.attributes)
    client, server = attributes.get("client"), attributes.get("server")
    if role is None or not isinstance(client, str) or not isinstance(server, str):
        return None
    connection = attributes.get("connection_type")
    return EdgeSeries(role, client, server, connection if isinstance(connection, str) and connection != "unset" else "")


def _service(key: SeriesKey, attributes: dict[str, AttributeValue]) -> MeasuredService | None:
    """Return whose spans were measured: the point's own word, else the resource's."""
    said = _text(attributes, _SERVICE)
    resource = dict(key.resource)
    own = resource.get("service.name")
    if said is None:
        said = own if isinstance(own, str) and own else None
    if said is None:
        return None
    if said != own:  # the resource is that of a scraped or forwarding process
        return MeasuredService(said, None, None)
    namespace, environment = resource.get("service.namespace"), resource.get("deployment.environment.name")
    return MeasuredService(
        said,
        namespace if isinstance(namespace, str) else None,
        environment if isinstance(environment, str) else None,
    )


def _text(attributes: dict[str, AttributeValue], keys: tuple[str, ...]) -> str | None:
    return next((value for key in keys if isinstance(value := attributes.get(key), str) and value), None)
