"""The two processes there are: one that takes telemetry, and one that only answers; both end by a signal."""

import logging
import math
import os
import signal
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import FrameType

from collector_processor.app import VERSION, Foreband
from collector_processor.clock import SystemClock
from collector_processor.config import Config
from collector_processor.doors import Locks, grafana_door
from collector_processor.kernels import spare_memory
from collector_processor.logs import set_up_logging
from collector_processor.memory import give_back_large_blocks, share_arenas
from collector_processor.scheduling import take_short_turns
from collector_processor.store.sqlite import open_reader
from collector_processor.system_limits import allow_many_files, require_address_space

log = logging.getLogger(__name__)


def run_until_stopped(config: Config, load: Callable[[], Config]) -> None:
    """Run Foreband until SIGTERM or SIGINT; on SIGHUP go on by what `load` returns then."""
    share_arenas()
    give_back_large_blocks()
    take_short_turns()
    set_up_logging(config.log)
    allow_many_files()
    require_address_space(config.receiver.max_in_flight, config.memory.limit)
    spare_memory(config.memory.limit)
    foreband = Foreband(config)
    asked = _signals(signal.SIGHUP)
    addresses = foreband.start()
    log.info(
        "Foreband %s is ready: OTLP gRPC on %s, OTLP HTTP on http://%s, page and API on http://%s",
        VERSION,
        addresses.otlp,
        addresses.otlp_http,
        addresses.http,
    )
    while _next(asked) == signal.SIGHUP:
        foreband.reload(load)
        set_up_logging(foreband.config.log)
    trouble = foreband.not_ready()
    log.info("stopping: finishing what was taken")
    foreband.finish()
    if trouble:
        log.warning("stopped while nothing could be stored: %s", trouble)
    else:
        log.info("stopped; nothing acknowledged was lost")
    os._exit(0)  # with the door still refusing: whoever comes now is never cancelled, only disconnected


def serve_until_stopped(config: Config) -> None:
    """Serve the Grafana side of a store that another process writes, until SIGTERM or SIGINT."""
    set_up_logging(config.log)
    open_reader(config.store.directory).close()
    asked = _signals()
    server = grafana_door(config, Locks.of(config.security), SystemClock(), lambda: "", lambda: b"")
    log.info("serving the store in %s on http://%s:%d", config.store.directory, server.host, server.port)
    _next(asked)
    server.stop()


def _next(asked: SimpleQueue[int]) -> int:
    """Wait for a signal; one that came to another thread, as after SIGSTOP, is seen only when this one wakes."""
    while True:
        try:
            return asked.get(timeout=_WAKE_SECONDS)
        except Empty:
            continue


_WAKE_SECONDS = 0.5
_ONE_WISH_SECONDS = 0.2
"""Signals this close together are one: `timeout`, `uv run` and shells pass on what the whole group gets as well."""


def _signals(*others: signal.Signals) -> SimpleQueue[int]:
    """Return a queue of what comes in of the signals to stop and of `others`."""
    asked = SimpleQueue[int]()  # the one queue that a handler may put into while this thread gets from it
    stops = {signal.SIGTERM, signal.SIGINT}
    asked_to_stop = math.inf  # when

    def take(number: int, _frame: FrameType | None) -> None:
        nonlocal asked_to_stop
        now = time.monotonic()
        if number in stops and now - asked_to_stop > _ONE_WISH_SECONDS:
            os._exit(1)  # asked twice: somebody cannot wait
        if number in stops:
            asked_to_stop = min(asked_to_stop, now)
        asked.put(number)

    for number in (*stops, *others):
        signal.signal(number, take)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, others)
    return asked
