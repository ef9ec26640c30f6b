"""The composition root: what is built, in which order it starts and in which it stops, on one screen."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version as distribution_version
from typing import TypeVar

from collector_processor.clock import Clock, SystemClock
from collector_processor.config import Config
from collector_processor.consumer import Consumer
from collector_processor.doors import Locks, feedback_door, given_tokens, grafana_door, hook_door, otlp_doors
from collector_processor.errors import ConfigError, PermanentError, RetryableError
from collector_processor.forwarding import Forwarding, check_destinations, warn_of_orphans
from collector_processor.ledger import Ledger, Signal
from collector_processor.memory import MemoryWatch, Pressure, spare_what_stays
from collector_processor.notices import NoticeDesk
from collector_processor.observation import watched
from collector_processor.otlp.endpoint import INSTANCE_KEY, LOOP_TEXT
from collector_processor.otlp.status import Answer
from collector_processor.pipeline import Pipeline, PipelineState, SeriesDesk
from collector_processor.pipeline.request import Request
from collector_processor.policy import Policies, PoliciesInForce
from collector_processor.policy.cohort import Cohorts
from collector_processor.reloading import JUDGING, Reload, adopted, differing
from collector_processor.room_settings import (
    pipeline_settings,
    silence_source,
    store_settings,
)
from collector_processor.selftelemetry import SelfTelemetry
from collector_processor.store.sqlite import SqliteWriter, open_writer
from collector_processor.training import Trainer
from collector_processor.workers import Worker, Workers
from grafana_datasource.app import Server
from grafana_datasource.silences.watch import SilenceWatch

log = logging.getLogger(__name__)

VERSION = distribution_version("foreband")
W = TypeVar("W", bound=Worker)
_ANSWER_SECONDS = 30.0
_HTTP_DRAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a started Foreband really listens."""

    otlp: str
    otlp_http: str
    http: str


class Foreband:
    """Everything of one process; `start` once, `stop` once."""

    def __init__(self, config: Config, *, clock: Clock | None = None, environ: Mapping[str, str] | None = None) -> None:
        self.config = config
        self._clock = clock or SystemClock()
        self._policies = PoliciesInForce(Policies(config.policies))
        self._last_reload = Reload(has_succeeded=True, succeeded_unix_nano=self._clock.now_unix_nano())
        self._environ = os.environ if environ is None else environ
        self._is_ready = False
        self._pressure = Pressure.NONE
        self.ledger = Ledger()

    def start(self) -> Addresses:
        """Open the store, then the doors; what was opened is closed again where a later step fails.

        Raises:
            ConfigError, StoreError: if it cannot start; nothing was acknowledged then.
        """
        self._locks = Locks.of(self.config.security)
        self._doors = otlp_doors(self.config, self._locks, self.ingest, self.ledger)
        with ExitStack() as door, ExitStack() as opened:
            door.callback(self._doors.grpc.close)
            addresses = self._start(self.config, opened, door)
            self._opened = opened.pop_all()
            self._door = door.pop_all()
        self._is_ready = True
        self._doors.grpc.set_serving(is_serving=True)
        return addresses

    def stop(self) -> None:
        """Refuse new work, finish what was taken, save all state, close."""
        self.finish()
        self._door.close()

    def finish(self) -> None:
        """Do all of `stop` but close the door: it goes on refusing until the process ends."""
        self._is_ready = False
        self._drain()
        self._opened.close()

    def reload(self, load: Callable[[], Config]) -> None:
        """Go on by the configuration that `load` returns now, as far as that needs no restart; the log says what does.

        One that is wrong, or cannot be put into effect, changes nothing.
        """
        try:
            wanted, former = load(), self.config
            self._adopt(adopted(former, wanted))
        except (ConfigError, RetryableError) as error:
            self._last_reload = replace(self._last_reload, has_succeeded=False)
            log.error("the configuration was read again and is wrong, the former one holds: %s", error)  # noqa: TRY400
            return
        waiting = tuple(differing(self.config, wanted))
        self._last_reload = Reload(True, self._clock.now_unix_nano(), waiting)
        log.info("the configuration was read again; changed: %s", _listed(differing(former, self.config)))
        if waiting:
            log.warning("these settings wait for a restart: %s", _listed(waiting))

    def _adopt(self, config: Config) -> None:
        if any(getattr(config, name) != getattr(self.config, name) for name in JUDGING):
            settings = pipeline_settings(config)
            self._consumer.call(lambda now: self._pipeline.configure(settings, now)).result()
            self._policies.now = Policies(config.policies)
            self._budgets.take(Policies(config.policies, config.detect.threshold))
            self._memory.limit = config.memory.limit
        if config.silences != self.config.silences:
            self._silences.follow(silence_source(config.silences))
        self._locks.tokens.renew(given_tokens(config.security))
        self.config = config

    def _start(self, config: Config, opened: ExitStack, door: ExitStack) -> Addresses:
        check_destinations(config.forward, [config.receiver.listen, config.receiver.http_listen])
        writer = open_writer(config.store.directory, store_settings(config))
        opened.callback(writer.close)
        self.instance_id, self.outbox = writer.instance_id, writer.outbox
        opened.callback(spare_what_stays())
        self._start_judging(config, writer, opened)
        otlp = _address(config.receiver.listen, self._doors.grpc.start())
        otlp_http = _address(config.receiver.http_listen, self._doors.http.start())
        door.callback(self._doors.http.stop, _HTTP_DRAIN_SECONDS)
        _run(self._forwarding, opened)
        notices = NoticeDesk(writer)
        self._start_workers(config, notices, opened)
        server = self._open_web(config, notices, opened)
        return Addresses(otlp, otlp_http, f"{server.host}:{server.port}")

    def _start_judging(self, config: Config, writer: SqliteWriter, opened: ExitStack) -> None:
        """Take up all state, and the thread that alone changes it."""
        state = PipelineState(writer, pipeline_settings(config))
        state.reload(self._clock.now_unix_nano())
        self._pipeline = Pipeline(state, self.ledger, self._record_batch)
        self._desk = SeriesDesk(state)
        self._forwarding = Forwarding(config.forward, self.instance_id, self.outbox, self._clock.now_unix_nano)
        warn_of_orphans(config.forward, self.outbox.sizes())
        self._consumer = Consumer(self._pipeline, self._clock)
        self._consumer.start()
        opened.callback(self._consumer.stop)
        opened.callback(self._drain)

    def _start_workers(self, config: Config, notices: NoticeDesk, opened: ExitStack) -> None:
        """Start what works beside the consumer, and Foreband's own telemetry, which watches all of them."""
        workers = Workers(config, self._consumer, self._desk, self._clock)
        trainer = _run(workers.trainer(self._policies), opened)
        self._memory = _run(MemoryWatch(config.memory.limit, partial(self._relieve, trainer)), opened)
        self._budgets = _run(workers.budgets(), opened)
        canaries = _run(workers.canaries(), opened)
        incidents = _run(workers.incidents(), opened)
        self._telemetry = SelfTelemetry(
            watched(
                self.ledger,
                self._desk,
                trainer,
                self._forwarding.forwarders,
                self.outbox,
                canaries,
                Cohorts(self._policies),
                notices,
                incidents,
                lambda: self._last_reload,
                config.store.directory,
            ),
            version=VERSION,
            instance_id=self.instance_id,
            environ=self._environ,
        )
        opened.callback(self._telemetry.stop)

    def _open_web(self, config: Config, notices: NoticeDesk, opened: ExitStack) -> Server:
        """Open Grafana's door, and follow the silences that concern what is asked there."""
        feedback = feedback_door(self._consumer, self._desk)
        server = grafana_door(
            config,
            self._locks,
            self._clock,
            self.not_ready,
            self._telemetry.prometheus_text,
            self._may_answer,
            feedback,
            hook_door(self._consumer, notices, lambda: self.config.security),
            lambda: self._desk.keys,
            lambda: self._desk.fleet,
            self._policies,
        )
        opened.callback(server.stop, _HTTP_DRAIN_SECONDS)
        count, source = partial(notices.count, "silences"), silence_source(config.silences)
        self._silences = _run(SilenceWatch(server.backend, feedback, count, source), opened)
        return server

    def not_ready(self) -> str:
        """Return why telemetry is not taken right now, empty when it is."""
        if self._pressure >= Pressure.TELEMETRY:
            return "short of memory"
        return self._desk.shortage() if self._is_ready else "starting or stopping"

    def _may_answer(self) -> bool:
        return self._pressure < Pressure.QUERIES

    def ingest(self, signal_: Signal, body: bytes, metadata: Mapping[str, str]) -> Answer:
        """Decode in the caller's thread, then wait until the consumer made it durable.

        Raises:
            MalformedRequestError, TooLargeError: never retry.
            PermanentError: it came from this very instance: a loop.
            RetryableError: not now; entered in the ledger as refused.
        """
        if metadata.get(INSTANCE_KEY) == self.instance_id:
            raise PermanentError(f"{LOOP_TEXT}: everything would go round in a loop")
        self._forwarding.watch(body)
        request = Request.decode(signal_, body)
        try:
            return self._consumer.submit(request).result(_ANSWER_SECONDS)
        except (RetryableError, FutureTimeoutError) as error:
            self.ledger.refuse(signal_, request.items, "store" if isinstance(error, RetryableError) else "timeout")
            if isinstance(error, RetryableError):
                raise
            raise RetryableError("not durable in time", retry_after_seconds=5.0) from None

    def _drain(self) -> None:
        self._doors.grpc.drain(self.config.receiver.drain.total_seconds())

    def _relieve(self, trainer: Trainer, pressure: Pressure) -> None:
        """Do without what may be done without, the more the less memory there is."""
        self._pressure = pressure
        self._doors.gate.is_short_of_memory = pressure >= Pressure.TELEMETRY
        trainer.is_paused = pressure >= Pressure.FITS
        self._consumer.call(lambda _now: self._desk.save_memory(takes_new_series=pressure < Pressure.SERIES))

    def _record_batch(self, score_seconds: float, commit_seconds: float) -> None:
        if self._is_ready:
            self._telemetry.record_batch(score_seconds, commit_seconds)


def _run(worker: W, opened: ExitStack) -> W:
    """Start a worker, which is stopped when `opened` closes."""
    worker.start()
    opened.callback(worker.stop)
    return worker


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _address(listen: str, port: int) -> str:
    """Return the address with the port really bound."""
    return f"{listen.rpartition(':')[0]}:{port}"
