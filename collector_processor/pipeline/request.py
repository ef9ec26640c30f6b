"""One export request on its way from the door to the store."""

from dataclasses import dataclass, field

from xxhash import xxh3_128_digest

from collector_processor.ledger import Signal
from collector_processor.otlp.decode import ParsedTraces, decode_logs, decode_metrics, decode_traces
from collector_processor.telemetry.arrival import LogArrivals, MetricArrivals, SpanArrivals

_SEEDS = {signal: seed for seed, signal in enumerate(Signal)}


@dataclass(frozen=True, slots=True)
class Request:
    """One decoded export request; `parsed` only for traces.

    `digest` names it among those of the last hour; it is computed once, by the thread that decodes. It is no
    cryptographic one, which would cost a fifth of all work on spans: whoever wants to have another's request taken for
    a repeat must know all bytes of it beforehand, times in nanoseconds included.
    """

    signal: Signal
    body: bytes
    arrivals: MetricArrivals | SpanArrivals | LogArrivals
    parsed: ParsedTraces | None = None
    digest: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", xxh3_128_digest(self.body, _SEEDS[self.signal]))

    @classmethod
    def decode(cls, signal: Signal, body: bytes) -> "Request":
        """Decode the body of an export request.

        Raises:
            MalformedRequestError, TooLargeError: never retry.
        """
        if signal is Signal.METRICS:
            return cls(signal, body, decode_metrics(body))
        if signal is Signal.LOGS:
            return cls(signal, body, decode_logs(body))
        return cls(signal, body, *decode_traces(body))

    @property
    def items(self) -> int:
        """Return how many data points, spans or log records it holds."""
        return self.arrivals.received if isinstance(self.arrivals, MetricArrivals) else len(self.arrivals)

    @property
    def metrics(self) -> MetricArrivals:
        """Return what a metrics request holds."""
        assert isinstance(self.arrivals, MetricArrivals)
        return self.arrivals

    @property
    def spans(self) -> SpanArrivals:
        """Return what a traces request holds."""
        assert isinstance(self.arrivals, SpanArrivals)
        return self.arrivals

    @property
    def logs(self) -> LogArrivals:
        """Return what a logs request holds."""
        assert isinstance(self.arrivals, LogArrivals)
        return self.arrivals
