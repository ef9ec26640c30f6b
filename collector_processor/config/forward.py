"""Where telemetry goes again: the destinations, what is added on the way, and how loops are found."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from collector_processor.config.sections import Duration, Section, Size
from collector_processor.ledger import Signal

_Timeout = Annotated[Duration, Field(ge=timedelta(milliseconds=100), le=timedelta(minutes=5))]
_QueueSize = Annotated[Size, Field(ge=1 << 20)]
_ENDPOINT = r"^https?://[^/\s]+(/\S*)?$"
_PREFIX = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$"


class ClientTlsConfig(Section):
    """How a destination with https:// is trusted, and how Foreband shows who it is."""

    ca_file: Path | None = Field(None, description="authorities to trust instead of the system's")
    cert_file: Path | None = Field(None, description="Foreband's own certificate, where the destination asks for one")
    key_file: Path | None = Field(None, description="the key of that certificate")

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> "ClientTlsConfig":
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file should be given together")
        return self


class DestinationConfig(Section):
    """One place that gets some or all signals again, from a queue of its own."""

    name: str = Field(pattern=r"^[a-z0-9_-]{1,63}$", description="names its queue, its metrics and its log lines")
    endpoint: str = Field(pattern=_ENDPOINT, description="http:// or https://, host and port")
    protocol: Literal["grpc", "http"] = Field(
        "grpc", description="http: OTLP/HTTP with protobuf, /v1/metrics and so on behind the endpoint"
    )
    signals: tuple[Signal, ...] = Field(tuple(Signal), min_length=1, description="what it gets")
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="sent with every request; shown masked")
    compression: Literal["gzip", "none"] = Field("gzip", description="of forwarded requests")
    timeout: _Timeout = Field(timedelta(seconds=5), description="of one forwarded request")
    queue: _QueueSize = Field(512 << 20, description="bytes of outbox kept; then oldest dropped")
    tls: ClientTlsConfig = Field(ClientTlsConfig(), description="for https://")

    @model_validator(mode="after")
    def _a_path_needs_http(self) -> "DestinationConfig":
        _refuse_path(self.protocol, self.endpoint)
        return self


class ForwardConfig(Section):
    """Where everything goes again, enriched. Without an endpoint or a destination nothing is forwarded."""

    endpoint: str | None = Field(
        None, pattern=_ENDPOINT, description="short form of one destination, e.g. http://collector:4317"
    )
    protocol: Literal["grpc", "http"] = Field("grpc", description="of the short form")
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="of the short form; shown masked")
    compression: Literal["gzip", "none"] = Field("gzip", description="of the short form")
    timeout: _Timeout = Field(timedelta(seconds=5), description="of the short form: of one forwarded request")
    queue: _QueueSize = Field(512 << 20, description="of the short form: bytes of outbox kept; then oldest dropped")
    destinations: tuple[DestinationConfig, ...] = Field((), description="further ones, each with a queue of its own")
    enrich_spans: Literal["all", "anomalous", "none"] = Field("all", description="which judged spans get a verdict")
    enrich_metrics: Literal["all", "anomalous", "none"] = Field("all", description="which judged points get bands")
    detail: Literal["full", "minimal"] = Field("full", description="minimal: only `anomaly` and `score`")
    attribute_prefix: str = Field("foreband", pattern=_PREFIX, description="of added attributes")
    metric_prefix: str = Field("foreband", pattern=_PREFIX, description="of added metrics")
    loop_check: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(days=1))] = Field(
        timedelta(hours=1), description="how often a canary looks for loops through other programs; 0s: never"
    )

    @model_validator(mode="after")
    def _names_are_distinct(self) -> "ForwardConfig":
        _refuse_path(self.protocol, self.endpoint or "")
        names = [destination.name for destination in self.all_destinations()]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"destinations should have distinct names, and {twice[0]!r} is there twice")
        return self

    def all_destinations(self) -> tuple[DestinationConfig, ...]:
        """Return every destination; the short form is one named `default`."""
        if self.endpoint is None:
            return self.destinations
        short = DestinationConfig(
            name="default",
            endpoint=self.endpoint,
            protocol=self.protocol,
            headers=self.headers,
            compression=self.compression,
            timeout=self.timeout,
            queue=self.queue,
        )
        return (short, *self.destinations)


def _refuse_path(protocol: str, endpoint: str) -> None:
    if protocol == "grpc" and urlsplit(endpoint).path:
        raise ValueError(f"the endpoint {endpoint} should have no path: protocol is grpc")
