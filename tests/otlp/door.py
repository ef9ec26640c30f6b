"""What stands behind a door in tests: an ingest function that keeps what came, and a ledger that must balance."""

from collections import Counter
from collections.abc import Callable, Mapping
from threading import Condition
from typing import Any

from collector_processor.ledger import Ledger, Signal
from collector_processor.otlp.decode import decode_logs, decode_metrics, decode_traces
from collector_processor.otlp.gate import Entrance, Gate, Refusal, into_ledger
from collector_processor.otlp.status import Answer

PATIENCE = 60.0
DECODERS: dict[Signal, Callable[[bytes], Any]] = {
    Signal.METRICS: decode_metrics,
    Signal.TRACES: lambda body: decode_traces(body)[0],
    Signal.LOGS: decode_logs,
}


class Behind:
    """Takes every request that can be decoded; `during` runs while it holds a place."""

    def __init__(self, max_in_flight: int = 8, max_bytes: int = 16 << 20) -> None:
        self.ledger = Ledger()
        self.changed = Condition()
        self.bodies: list[tuple[Signal, bytes, Mapping[str, str]]] = []
        self.during: Callable[[], object] = lambda: None
        self.refused: Counter[Refusal] = Counter()
        self.gate = Gate(max_in_flight, max_bytes)
        self.entrance = Entrance(self.gate, self._ingest, self._on_refused)

    def _on_refused(self, signal: Signal, refusal: Refusal) -> None:
        into_ledger(self.ledger)(signal, refusal)
        with self.changed:
            self.refused[refusal] += 1
            self.changed.notify_all()

    def _ingest(self, signal: Signal, body: bytes, metadata: Mapping[str, str]) -> Answer:
        arrivals = DECODERS[signal](body)
        self.during()
        rejected = arrivals.rejected if signal is Signal.METRICS else {}
        received = arrivals.received if signal is Signal.METRICS else len(arrivals)
        self.ledger.settle(signal, stored=received - sum(rejected.values()), rejected=rejected)
        with self.changed:
            self.bodies.append((signal, body, metadata))
            self.changed.notify_all()
        return Answer(rejected)

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        with self.changed:
            return self.changed.wait_for(condition, PATIENCE)

    def assert_balanced(self) -> None:
        assert all(self.ledger.row(signal).is_balanced for signal in Signal)
