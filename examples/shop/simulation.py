"""Simulate the trace of a request: the spans the live services would have recorded for it."""

from random import Random
from typing import NamedTuple

from examples.shop.model import NO_FAULTS, Faults, Operation, work_seconds
from examples.shop.overhead import Overhead
from examples.shop.traffic import Visit


class SimulatedSpan(NamedTuple):
    """One span; its times count from the start of the trace."""

    operation: Operation
    service: str
    is_client: bool
    status: int
    trace_id: int
    span_id: int
    parent_id: int
    start_nano: int
    end_nano: int


def simulate_trace(visit: Visit, overhead: Overhead, rng: Random, faults: Faults = NO_FAULTS) -> list[SimulatedSpan]:
    """Return the spans of one request in ascending order of their end; the last one is the root."""
    trace = _Trace(overhead, rng, faults)
    trace.serve(visit, start_nano=0, parent_id=0)
    return trace.spans


class _Trace:
    """The spans of one trace while they are being written."""

    def __init__(self, overhead: Overhead, rng: Random, faults: Faults) -> None:
        self.spans: list[SimulatedSpan] = []
        self._overhead, self._rng, self._faults = overhead, rng, faults
        self._trace_id = rng.getrandbits(128) or 1

    def serve(self, visit: Visit, start_nano: int, parent_id: int) -> int:
        """Write the server span of a visit and return its end."""
        operation, rng = visit.operation, self._rng
        span_id = rng.getrandbits(64) or 1
        end = start_nano + int(1e9 * work_seconds(operation, rng, self._faults))
        for call in visit.calls:
            end = self._call(call, operation.service, end, span_id)
        end += self._overhead.draw_server(rng)
        self.spans.append(
            SimulatedSpan(
                operation, operation.service, False, visit.status, self._trace_id, span_id, parent_id, start_nano, end
            )
        )
        return end

    def _call(self, visit: Visit, caller: str, start_nano: int, parent_id: int) -> int:
        span_id = self._rng.getrandbits(64) or 1
        before, after = self._overhead.draw_client(self._rng)
        end = self.serve(visit, start_nano + before, span_id) + after
        self.spans.append(
            SimulatedSpan(
                visit.operation, caller, True, visit.status, self._trace_id, span_id, parent_id, start_nano, end
            )
        )
        return end
