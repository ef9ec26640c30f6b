"""Whose spans and log records they are: a resource's bytes to a service, and the canonical keys made from it."""

from collections.abc import Callable

from collector_processor.errors import MalformedRequestError
from collector_processor.signals.catalog import MALFORMED, REFUSED
from collector_processor.telemetry.series import Attributes, Kind, Scope, SeriesKey, Statistic, tagged

SERVICE_ATTRIBUTES = ("deployment.environment.name", "service.name", "service.namespace")
"""What of a resource tells services apart; instances of one service are one service."""

MAX_NAME_BYTES = 4096
"""What names a service may be so long."""

_ALIAS_BYTES = 16 << 20  # resources carry instance ids, so there are ever new ones
_ALIAS_OVERHEAD = 200  # bytes of a dict entry beside the raw bytes


class Services:
    """Dense numbers for services; the bytes of their resources are only aliases."""

    def __init__(self, parse_resource: Callable[[bytes], Attributes], limit: int) -> None:
        self._parse_resource = parse_resource
        self._limit = limit
        self._aliases: dict[bytes, int] = {}
        self._alias_bytes = 0
        self._numbers: dict[str, int] = {}
        self._resources: list[Attributes] = []

    def __len__(self) -> int:
        return len(self._resources)

    def of_bytes(self, resource: bytes) -> int:
        """Return the service of a raw resource, `MALFORMED` if that can't be told, `REFUSED` past the limit."""
        number = self._aliases.get(resource)
        if number is None:
            try:
                number = self.of(self._parse_resource(resource))
            except MalformedRequestError:
                number = MALFORMED
            self._remember(resource, number)
        return number

    def of(self, resource: Attributes) -> int:
        """Return the service of a parsed resource, `MALFORMED` if its name is too long, `REFUSED` past the limit."""
        kept = tuple((name, value) for name, value in resource if name in SERVICE_ATTRIBUTES)
        text = str(tagged(kept))
        if len(text.encode()) > MAX_NAME_BYTES:
            return MALFORMED
        number = self._numbers.get(text)
        if number is None:
            if len(self._resources) >= self._limit:
                return REFUSED
            number = self._numbers[text] = len(self._resources)
            self._resources.append(kept)
        return number

    def resource(self, service: int) -> Attributes:
        """Return what of a resource is this service's."""
        return self._resources[service]

    def name(self, service: int) -> str:
        """Return `service.name`, as `SeriesKey.service` does."""
        return self.key(service, Kind.SPAN, "", "", Statistic.RATE, ()).service

    def key(
        self, service: int, kind: Kind, metric: str, unit: str, statistic: Statistic, attributes: Attributes
    ) -> SeriesKey:
        """Return the identity of a series of this service."""
        return SeriesKey(self._resources[service], Scope(), metric, unit, kind, statistic, attributes)

    def _remember(self, resource: bytes, number: int) -> None:
        if self._alias_bytes > _ALIAS_BYTES:
            self._aliases, self._alias_bytes = {}, 0
        self._aliases[resource] = number
        self._alias_bytes += len(resource) + _ALIAS_OVERHEAD
