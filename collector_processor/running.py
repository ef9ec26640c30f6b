"""The two processes there are: one that takes telemetry, and one that only answers; both end by a signal."""

import logging
import os
import signal
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType

from collector_processor.app import VERSION, Foreband
from collector_processor.clock import SystemClock
from collector_processor.config import Config
from collector_processor.doors import Locks, grafana_door
from collector_processor.logs import set_up_logging
from collector_processor.memory import give_back_large_blocks, share_arenas
from collector_processor.store.sqlite import open_reader
from collector_processor.system_limits import allow_many_files, require_address_space

log = logging.getLogger(__name__)


def run_until_stopped(config: Config, load: Callable[[], Config]) -> None:
    """Run Foreband until SIGTERM or SIGINT; on SIGHUP go on by what `load` returns then."""
    share_arenas()
    give_back_large_blocks()
    set_up_logging(config.log)
    allow_many_files()
    require_address_space(config.receiver.max_in_flight, config.memory.limit)
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
    while asked.get() == signal.SIGHUP:
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
    asked.get()
    server.stop()


def _signals(*others: signal.Signals) -> SimpleQueue[int]:
    """Return a queue of what comes in of the signals to stop and of `others`."""
    asked = SimpleQueue[int]()  # the one queue that a handler may put into while this thread gets from it
    stops = {signal.SIGTERM, signal.SIGINT}
    is_stopping = False

    def take(number: int, _frame: FrameType | None) -> None:
        nonlocal is_stopping
        if number in stops and is_stopping:
            os._exit(1)  # asked twice: somebody cannot wait
        is_stopping = is_stopping or number in stops
        asked.put(number)

    for number in (*stops, *others):
        signal.signal(number, take)
    return asked
