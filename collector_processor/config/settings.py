"""Every setting of Foreband, its default and its limits: this file is the reference.

`OTEL_*` variables are read by the OpenTelemetry SDK itself.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from collector_processor.config.forward import ForwardConfig
from collector_processor.config.policy import PolicyConfig
from collector_processor.config.sections import Duration, Listen, Section, Size
from collector_processor.config.security import SecurityConfig


class LogConfig(Section):
    """How Foreband writes its own log, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is worth a line")
    format: Literal["auto", "plain", "json"] = Field("auto", description="auto: plain on a terminal, JSON elsewhere")


class ReceiverConfig(Section):
    """The OTLP doors. Defaults keep one hostile or broken sender from harming the others."""

    listen: Listen = Field("127.0.0.1:4317", description="address of the OTLP gRPC receiver")
    http_listen: Listen = Field("127.0.0.1:4318", description="address of the OTLP/HTTP receiver")
    max_message: Annotated[Size, Field(ge=64 << 10, le=64 << 20)] = Field(
        16 << 20, description="largest inflated request, JSON 4MiB at most; a Collector's 8,192 spans are 4.6 MB"
    )
    max_in_flight: int = Field(
        64, ge=1, le=1024, description="requests worked on at once, both doors together; more are told to retry"
    )
    drain: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(minutes=5))] = Field(
        timedelta(seconds=10), description="how long running requests may finish after SIGTERM"
    )


class MemoryConfig(Section):
    """How much memory this process may hold; fit processes are beside it."""

    limit: Annotated[Size, Field(ge=256 << 20)] = Field(
        2 << 30, description="at 80 % telemetry is told to come again, before that caches, fits and new series give way"
    )


class SeriesConfig(Section):
    """Which series exist and how spans and logs become series."""

    limit: int = Field(100_000, ge=1, le=5_000_000, description="active series in all; existing ones never suffer")
    buckets: int = Field(
        10_000, ge=0, le=5_000_000, description="of these, buckets of histograms (`le`), for PromQL only; 0 keeps none"
    )
    idle: Annotated[Duration, Field(ge=timedelta(hours=1), le=timedelta(days=3650))] = Field(
        timedelta(days=1), description="a series silent for this long frees its place; it goes on when it reports again"
    )
    span_names_per_service: int = Field(200, ge=1, le=100_000, description="past it spans count as `other`")
    span_name_templates: bool = Field(
        True, description="ids, numbers, dates and SQL literals in span names become placeholders"
    )
    window: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = Field(
        timedelta(seconds=60), description="spans and logs are counted in windows of this length"
    )
    grace: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(minutes=10))] = Field(
        timedelta(seconds=15), description="how long a window waits for late spans"
    )


class StoreConfig(Section):
    """Where points, verdicts, models and the outbox live."""

    directory: Path = Field(Path("foreband-data"), description="created 0700; one Foreband at a time")
    retention: Annotated[Duration, Field(ge=timedelta(hours=1), le=timedelta(days=3650))] = Field(
        timedelta(days=15), description="how long points and verdicts are kept; older data is not taken either"
    )
    reserve: Size = Field(
        256 << 20, ge=0, le=1 << 50, description="free disk at which nothing more is taken, only read; 0 for none"
    )
    accept_loss: bool = Field(default=False, description="start a store that has lost acknowledged data")
    reserve_share: float = Field(0.05, ge=0.0, le=0.9, description="the same as a share of the disk; the larger holds")


class ForecastConfig(Section):
    """How models are fitted, off the fast path."""

    workers: int = Field(1, ge=1, le=256, description="processes that fit; one does thousands of series a minute")
    max_cpu: float = Field(
        0.5, gt=0.0, le=256.0, description="share of one core that fits may use over minutes; who waits is shown"
    )
    step: Annotated[Duration, Field(ge=timedelta(seconds=10), le=timedelta(days=1))] = Field(
        timedelta(minutes=5), description="models are fitted on means over this step and judge at full rate"
    )
    window: Annotated[Duration, Field(ge=timedelta(hours=1), le=timedelta(days=3650))] = Field(
        timedelta(days=28), description="history a fit looks at"
    )
    refit_interval: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=7))] = Field(
        timedelta(hours=1), description="a model is renewed this often, a young series' more often"
    )
    fit_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = Field(
        timedelta(seconds=30),
        description="a batch of fits that takes longer is killed and tried again in halves",
    )


class DetectConfig(Section):
    """How unusual a point must be."""

    threshold: float = Field(
        1.25, ge=1.0, le=10.0, description="1.15 = more alarms, 1.45 = fewer; edge of the alert band in usual maxima"
    )


class IncidentsConfig(Section):
    """Which episodes are one incident."""

    agreement: int = Field(2, ge=2, le=100, description="episodes of so many series of one service or host are one")
    within: Annotated[Duration, Field(ge=timedelta(seconds=10), le=timedelta(hours=6))] = Field(
        timedelta(minutes=15), description="which began within this long of each other; so do those of neighbours"
    )
    reopen: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(days=1))] = Field(
        timedelta(hours=1),
        description="what begins on one of its services this long after the last of them still belongs to it",
    )


class GrafanaConfig(Section):
    """The HTTP side: Prometheus API, JSON rows, built-in page."""

    listen: Listen = Field("127.0.0.1:8080", description="address of the page and all HTTP APIs")


class SilencesConfig(Section):
    """Where people silence alerts: an Alertmanager, or Grafana, which is one at `/api/alertmanager/grafana`."""

    url: str | None = Field(
        None, pattern=r"^https?://[^/\s]+(/\S*)?$", description="of an Alertmanager whose silences answer episodes"
    )
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="sent to it; shown masked")
    every: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(hours=1))] = Field(
        timedelta(seconds=30), description="how often they are looked at"
    )


class Config(Section):
    """The whole configuration; every field has a default."""

    log: LogConfig = LogConfig()
    receiver: ReceiverConfig = ReceiverConfig()
    memory: MemoryConfig = MemoryConfig()
    series: SeriesConfig = SeriesConfig()
    store: StoreConfig = StoreConfig()
    forecast: ForecastConfig = ForecastConfig()
    detect: DetectConfig = DetectConfig()
    incidents: IncidentsConfig = IncidentsConfig()
    forward: ForwardConfig = ForwardConfig()
    grafana: GrafanaConfig = GrafanaConfig()
    silences: SilencesConfig = SilencesConfig()
    security: SecurityConfig = SecurityConfig()
    policies: tuple[PolicyConfig, ...] = ()
