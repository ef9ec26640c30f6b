"""All destinations of one Foreband: a forwarder each, so that a dead one delays no other, and the watch for loops."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from collector_processor.config.forward import ClientTlsConfig, DestinationConfig, ForwardConfig
from collector_processor.errors import ConfigError, PermanentError
from collector_processor.ledger import Signal
from collector_processor.otlp.additions import Additions, Detail, Which
from collector_processor.otlp.downstream import probe
from collector_processor.otlp.endpoint import ClientTls, Endpoint
from collector_processor.otlp.forward import Canaries, Forwarder
from collector_processor.otlp.loops import LoopMark, is_loop
from collector_processor.store.base import OutboxQueues


class Forwarding:
    """The forwarders of all destinations; `start` once, `stop` once."""

    def __init__(
        self,
        config: ForwardConfig,
        instance_id: str,
        outbox: OutboxQueues,
        now: Callable[[], int],
    ) -> None:
        self._config = config
        self._mark = LoopMark(instance_id)
        self._now = now
        self._endpoints = {d.name: _endpoint(d, instance_id) for d in config.all_destinations()}
        self.forwarders = [
            Forwarder(
                self._endpoints[destination.name],
                outbox,
                destination=destination.name,
                canaries=self._canaries(destination),
            )
            for destination in config.all_destinations()
        ]
        for forwarder in self.forwarders:
            outbox.listen(forwarder.wake)

    def start(self) -> None:
        """Ask every destination whether it is this very process, all at once, then begin to send.

        Raises:
            ConfigError: if one is.
        """
        if self._endpoints:
            with ThreadPoolExecutor(len(self._endpoints)) as pool:
                try:
                    list(pool.map(probe, self._endpoints.values()))
                except PermanentError as error:
                    raise ConfigError(f"forward: {error}") from None
        for forwarder in self.forwarders:
            forwarder.start()

    def stop(self) -> None:
        """Give up calls under way and end."""
        for forwarder in self.forwarders:
            forwarder.stop()

    def watch(self, body: bytes) -> None:
        """Look at a request that came in; a destination it was forwarded to is sent nothing any more.

        The request itself is taken: a Collector in between may have put telemetry into it that is no part of the loop.
        """
        is_sought = bool(self.forwarders and self._config.loop_check)
        destination = self._mark.destination_in(body) if is_sought else None
        for forwarder in self.forwarders:
            if forwarder.destination == destination:
                forwarder.hold("what is forwarded there comes back: a loop; put it right, then start Foreband again")

    def _canaries(self, destination: DestinationConfig) -> Canaries | None:
        interval = self._config.loop_check.total_seconds()

        def make() -> dict[Signal, bytes]:
            now = self._now()
            return {signal: self._mark.canary(signal, destination.name, now) for signal in destination.signals}

        return Canaries(make, interval) if interval else None


def check_destinations(config: ForwardConfig, listens: Sequence[str]) -> None:
    """Find out what can be known of destinations before anything is opened.

    Raises:
        ConfigError: if one is an address of this process, or its certificates can't be read.
    """
    for destination in config.all_destinations():
        _tls(destination.tls)
        if is_loop(destination.endpoint, listens, destination.protocol):
            raise ConfigError(f"forward: {destination.endpoint} is this Foreband itself: everything would go in a loop")


def warn_of_orphans(config: ForwardConfig, waiting: dict[str, tuple[int, int]]) -> None:
    """Say which queues of the outbox nobody empties."""
    for name in sorted(waiting.keys() - {d.name for d in config.all_destinations()}):
        log.warning("%d requests wait for %r, which is no destination any more; they are kept", waiting[name][0], name)


def destinations_of(config: ForwardConfig) -> dict[Signal, tuple[str, ...]]:
    """Return the names of the destinations that get each signal."""
    return {s: tuple(d.name for d in config.all_destinations() if s in d.signals) for s in Signal}


def additions_of(config: ForwardConfig) -> Additions:
    """Return what is added to telemetry on its way through."""
    return Additions(
        spans=Which(config.enrich_spans),
        metrics=Which(config.enrich_metrics),
        detail=Detail(config.detail),
        attribute_prefix=config.attribute_prefix,
        metric_prefix=config.metric_prefix,
    )


def _endpoint(destination: DestinationConfig, instance_id: str) -> Endpoint:
    return Endpoint(
        url=destination.endpoint,
        instance_id=instance_id,
        protocol=destination.protocol,
        headers={name: value.get_secret_value() for name, value in destination.headers.items()},
        gzip=destination.compression == "gzip",
        timeout=destination.timeout.total_seconds(),
        tls=_tls(destination.tls),
    )


def _tls(config: ClientTlsConfig) -> ClientTls:
    return ClientTls(_read(config.ca_file), _read(config.key_file), _read(config.cert_file))


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"forward.destinations: {path} cannot be read: {error.strerror}") from None


log = logging.getLogger(__name__)
