"""What each room is given of the configuration, in the room's own words."""

from datetime import timedelta

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.config import Config
from collector_processor.config.settings import SilencesConfig
from collector_processor.forwarding import additions_of, destinations_of
from collector_processor.incidents.correlate import CorrelationSettings
from collector_processor.pipeline import PipelineSettings
from collector_processor.policy import Policies
from collector_processor.signals.admit import TimeLimits
from collector_processor.signals.buckets import BucketSettings
from collector_processor.signals.windows import WindowSettings
from collector_processor.store.settings import StoreSettings
from collector_processor.training import TrainingSettings
from grafana_datasource.silences.source import SilenceSource


def store_settings(config: Config) -> StoreSettings:
    """Return what the store may keep, and for how long."""
    queues = {destination.name: destination.queue for destination in config.forward.all_destinations()}
    return StoreSettings(
        retention_nano=_nanos(config.store.retention),
        outbox_limits=queues,
        reserve_bytes=config.store.reserve,
        reserve_share=config.store.reserve_share,
        accept_loss=config.store.accept_loss,
        rollup_step=_nanos(config.forecast.step),
    )


def pipeline_settings(config: Config) -> PipelineSettings:
    """Return which series there may be, how they are judged and where they go."""
    return PipelineSettings(
        series_limit=config.series.limit,
        idle_nano=_nanos(config.series.idle),
        identity_bytes=config.memory.limit // 4,
        span_names_per_service=config.series.span_names_per_service,
        has_span_name_templates=config.series.span_name_templates,
        windows=WindowSettings(length=_nanos(config.series.window), grace=_nanos(config.series.grace)),
        buckets=BucketSettings(config.series.buckets, _nanos(config.series.idle)),
        limits=TimeLimits(retention=_nanos(config.store.retention)),
        policies=Policies(config.policies, config.detect.threshold),
        destinations=destinations_of(config.forward),
        additions=additions_of(config.forward),
    )


def incident_settings(config: Config) -> CorrelationSettings:
    """Return when episodes are one incident."""
    incidents = config.incidents
    return CorrelationSettings(incidents.agreement, _nanos(incidents.within), _nanos(incidents.reopen))


def training_settings(config: Config) -> TrainingSettings:
    """Return how often, on what and at what cost models are fitted."""
    forecast = config.forecast
    return TrainingSettings(
        workers=forecast.workers,
        max_cpu=forecast.max_cpu,
        step=_nanos(forecast.step),
        window=_nanos(forecast.window),
        refit_interval=_nanos(forecast.refit_interval),
        fit_timeout=forecast.fit_timeout.total_seconds(),
    )


def silence_source(silences: SilencesConfig) -> SilenceSource | None:
    """Return where silences are looked at, None for nowhere."""
    if silences.url is None:
        return None
    headers = {name: text.get_secret_value() for name, text in silences.headers.items()}
    return SilenceSource(silences.url, headers, silences.every.total_seconds())


def _nanos(duration: timedelta) -> int:
    return round(duration.total_seconds() * NANOS_PER_SECOND)
