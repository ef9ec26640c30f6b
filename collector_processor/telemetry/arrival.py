"""What arrived, as columns: the decoder fills these, the signals room turns them into series.

Resources, scopes and attribute sets stay raw protobuf bytes here. They are only *aliases* of a canonical identity:
parsed once when first seen, then looked up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from collector_processor.telemetry.points import Bool, Float64, Int8, Int32, Int64
from collector_processor.telemetry.series import Kind


@dataclass(frozen=True, slots=True)
class Source:
    """What all data points of one metric share; `resource` and `scope` are raw protobuf messages."""

    resource: bytes
    scope: bytes
    metric: str
    unit: str
    kind: Kind


class Exemplar(NamedTuple):
    """A measurement behind the data point at `row` of its block, made in a trace; the span id may be empty."""

    row: int
    time_unix_nano: int
    value: float
    trace_id: bytes
    span_id: bytes


@dataclass(frozen=True, slots=True)
class NumberPoints:
    """Gauge or sum points of one source. NaN value with `is_gap` = the sender recorded no value.

    `low` is what a whole number beyond 2^53 has more than its `value`; None: nothing, for all points.
    """

    source: Source
    attributes: Sequence[bytes]
    start_unix_nano: Int64
    time_unix_nano: Int64
    value: Float64
    is_gap: Bool
    low: Float64 | None = None
    exemplars: Sequence[Exemplar] = ()


@dataclass(frozen=True, slots=True)
class HistogramPoints:
    """Histogram points of one source with the same bucket bounds: `bucket_counts` is (n, len(bounds) + 1).

    `sum` is NaN where the sender gave none. `bounds` may be empty (then `bucket_counts` has one column).
    """

    source: Source
    attributes: Sequence[bytes]
    start_unix_nano: Int64
    time_unix_nano: Int64
    count: Float64
    sum: Float64
    bounds: Float64
    bucket_counts: Float64
    is_gap: Bool
    exemplars: Sequence[Exemplar] = ()


@dataclass(frozen=True, slots=True)
class ExponentialPoints:
    """Exponential histogram points of one source; bucket i of scale s covers (2^(i / 2^s), 2^((i + 1) / 2^s)].

    Buckets are one flat table of those that hold anything: of the point at `bucket_row` (ascending), the mirror image
    below 0 where `is_negative`.
    """

    source: Source
    attributes: Sequence[bytes]
    start_unix_nano: Int64
    time_unix_nano: Int64
    count: Float64
    sum: Float64
    scale: Int64
    zero_count: Float64
    zero_threshold: Float64
    is_gap: Bool
    bucket_row: Int64
    bucket_index: Int64
    bucket_count: Float64
    is_negative: Bool
    exemplars: Sequence[Exemplar] = ()


@dataclass(frozen=True, slots=True)
class SummaryPoints:
    """Summary points of one source, and the quantiles their sender computed: one of the point at `quantile_row` each.

    `quantile_attributes` are the raw attributes of that point with the quantile beside them.
    """

    source: Source
    attributes: Sequence[bytes]
    start_unix_nano: Int64
    time_unix_nano: Int64
    count: Float64
    sum: Float64
    is_gap: Bool
    quantile_row: Int64
    quantile_attributes: Sequence[bytes]
    quantile_value: Float64


@dataclass(frozen=True, slots=True)
class MetricArrivals:
    """One decoded metrics request; `rejected` counts data points (by reason) that are in no column.

    `bad_exemplars` counts exemplars whose trace or span id is none; their data points are taken.
    """

    received: int
    numbers: Sequence[NumberPoints] = ()
    histograms: Sequence[HistogramPoints] = ()
    exponentials: Sequence[ExponentialPoints] = ()
    summaries: Sequence[SummaryPoints] = ()
    rejected: dict[str, int] = field(default_factory=dict)
    bad_exemplars: int = 0


class Peer(NamedTuple):
    """Whom the calling span of id `link` says it calls; it stands for `weight` of them."""

    link: int
    name: str
    weight: float


@dataclass(frozen=True, slots=True)
class SpanArrivals:
    """One decoded trace request, spans in the order of the message.

    `resource` indexes `resources` (raw bytes), `name` indexes `names`; neither list names one twice.

    `kind` is the OTLP SpanKind number. Times are as sent, unchecked. `link` ties both ends of a call together: of a
    client or producer span its own id, of a server or consumer span its parent's; 0 of others. `peers` are of few.
    """

    resources: Sequence[bytes]
    resource: Int32
    names: Sequence[str]
    name: Int32
    kind: Int8
    start_unix_nano: Int64
    end_unix_nano: Int64
    is_error: Bool
    link: Int64
    peers: Sequence[Peer] = ()

    def __len__(self) -> int:
        return self.name.size


@dataclass(frozen=True, slots=True)
class LogArrivals:
    """One decoded logs request; time is `time_unix_nano`, or the observed time where that is 0."""

    resources: Sequence[bytes]
    resource: Int32
    severity_number: Int8
    time_unix_nano: Int64

    def __len__(self) -> int:
        return self.time_unix_nano.size
