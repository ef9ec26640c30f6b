"""Which series there may be, how they are judged, and where what is known of them goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collector_processor.clock import DAY
from collector_processor.ledger import Signal
from collector_processor.otlp.additions import STOCK_ADDITIONS, Additions
from collector_processor.policy import Policies
from collector_processor.signals.admit import TimeLimits
from collector_processor.signals.buckets import BucketSettings
from collector_processor.signals.windows import WindowSettings


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Given by the composition root; durations in nanoseconds."""

    series_limit: int = 100_000
    idle_nano: int = DAY
    identity_bytes: int = 512 << 20
    span_names_per_service: int = 200
    has_span_name_templates: bool = True
    windows: WindowSettings = field(default_factory=WindowSettings)
    buckets: BucketSettings = field(default_factory=BucketSettings)
    limits: TimeLimits = field(default_factory=TimeLimits)
    policies: Policies = field(default_factory=Policies)
    destinations: Mapping[Signal, Sequence[str]] = field(default_factory=dict)
    additions: Additions = STOCK_ADDITIONS
