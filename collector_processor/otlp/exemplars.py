"""Exemplars of data points: which trace a measurement was made in.

Only those with a trace are of use here, and of one point only the newest few.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from collector_processor.otlp import schema, wire
from collector_processor.otlp.attributes import parse
from collector_processor.telemetry.arrival import Exemplar

MOST_PER_POINT = 4

_TRACE_BYTES, _SPAN_BYTES = 16, 8


class ExemplarTable:
    """The exemplars of a request's points by the number of the point; `bad` of them had ids that are none."""

    def __init__(self) -> None:
        self._of: defaultdict[int, list[Exemplar]] = defaultdict(list)
        self.bad = 0

    def take(self, point: int, messages: Sequence[bytes]) -> None:
        """Read the last of a point's exemplars.

        Raises:
            MalformedRequestError: if one is no valid message.
        """
        for raw in messages[-MOST_PER_POINT:]:
            exemplar = parse(schema.ExemplarMessage, raw, "exemplar")
            if not exemplar.trace_id:
                continue
            if _is_id(exemplar.trace_id, _TRACE_BYTES) and (
                not exemplar.span_id or _is_id(exemplar.span_id, _SPAN_BYTES)
            ):
                self._of[point].append(_exemplar(exemplar))
            else:
                self.bad += 1

    def at(self, points: Sequence[int]) -> list[Exemplar]:
        """Return the exemplars of some points; their rows are places in `points`."""
        if not self._of:
            return []
        return [
            exemplar._replace(row=row)
            for row, point in enumerate(points)
            if point in self._of
            for exemplar in self._of[point]
        ]


def _is_id(raw: bytes, size: int) -> bool:
    return len(raw) == size and any(raw)


def _exemplar(message: Any) -> Exemplar:
    choice = message.WhichOneof("choice")
    value = float(getattr(message, choice)) if choice else 0.0
    time = int(wire.signed_times([message.time_unix_nano])[0])
    return Exemplar(-1, time, value, message.trace_id, message.span_id)
