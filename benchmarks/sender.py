"""A process that sends a fleet's points over OTLP gRPC at a steady rate and notes how long each request took.

    python -m benchmarks.sender ADDRESS SERIES POINTS_PER_SECOND SECONDS FILE [CONNECTIONS]

Connections take turns. Requests are sent when they are due, whether or not earlier ones were answered; a late answer
makes no later request late. FILE gets rows of float64: when it was due (Unix seconds), seconds to the acknowledgement,
NaN where refused.
"""

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Semaphore
from typing import Any

import grpc
import numpy as np

from benchmarks.requests import POINTS, Fleet
from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.ledger import Signal
from collector_processor.otlp.receiver import EXPORT_METHODS

_IN_FLIGHT = 6  # fewer than a receiver takes at once


def main() -> None:
    address, series, rate, seconds, file, *connections = sys.argv[1:]
    fleet, gap = Fleet(int(series)), POINTS / float(rate)
    rows: list[tuple[float, float]] = []
    places = Semaphore(_IN_FLIGHT)
    with ExitStack() as opened:
        channels = [opened.enter_context(_channel(address)) for _ in range(int(connections[0]) if connections else 1)]
        calls = [channel.unary_unary(EXPORT_METHODS[Signal.METRICS], None, None) for channel in channels]

        def send(number: int, body: bytes, due: float) -> None:
            def note(answer: Any) -> None:
                rows.append((due, np.nan if answer.exception() else time.time() - due))
                places.release()

            places.acquire()
            calls[number % len(calls)].future(body, timeout=60.0).add_done_callback(note)

        started = time.time()
        for number in range(round(float(seconds) / gap)):
            due = started + number * gap
            body = fleet.body(number % fleet.requests, round(due * NANOS_PER_SECOND))
            time.sleep(max(0.0, due - time.time()))
            send(number, body, due)
        for _ in range(_IN_FLIGHT):
            places.acquire()
    np.array(sorted(rows)).tofile(Path(file))


def _channel(address: str) -> grpc.Channel:
    """Return a channel with a connection of its own."""
    return grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])


if __name__ == "__main__":
    main()
