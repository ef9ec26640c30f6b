"""What leads from an anomaly of a metric to a trace."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TraceLink:
    """A measurement that was made in a trace; `series` is the primary series of the data point it came with.

    `span_id` may be empty. The other series of that data point have the same links.
    """

    series: int
    time_unix_nano: int
    value: float
    trace_id: bytes
    span_id: bytes
