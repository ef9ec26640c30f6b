"""Look at everything that can be wrong before or while Foreband runs, and say what to do about it."""

import os
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPException
from importlib.util import find_spec
from urllib.parse import urlsplit
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from collector_processor.config import Config, StoreConfig
from collector_processor.config.forward import ForwardConfig
from collector_processor.doors import Locks
from collector_processor.errors import ConfigError

_SQLITE_WAL_FIX = (3, 51, 3)


class Health(StrEnum):
    """What a finding means."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `advice` is empty when all is well."""

    health: Health
    subject: str
    text: str
    advice: str = ""


def examine(config: Config) -> Iterator[Finding]:
    """Yield findings one by one; the Prophet check fits a small series and takes a few seconds."""
    yield _python()
    yield _sqlite()
    yield _pcodec()
    yield _directory(config.store)
    yield _port("receiver", config.receiver.listen)
    yield _port("receiver http", config.receiver.http_listen)
    yield _port("grafana", config.grafana.listen)
    yield from _waiting(config.grafana.listen)
    yield _security(config)
    yield _memory(config.memory.limit)
    yield from _destinations(config.forward)
    yield _prophet()


def _python() -> Finding:
    return Finding(Health.OK, "python", ".".join(map(str, sys.version_info[:3])))


def _sqlite() -> Finding:
    text = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= _SQLITE_WAL_FIX:
        return Finding(Health.OK, "sqlite", text)
    advice = "older than 3.51.3: never open the store for writing with another program while Foreband runs"
    return Finding(Health.WARNING, "sqlite", text, advice)


def _pcodec() -> Finding:
    if find_spec("pcodec"):
        return Finding(Health.OK, "compression", "pcodec")
    return Finding(Health.WARNING, "compression", "zlib", "install pcodec: points then take about half the space")


def _directory(store: StoreConfig) -> Finding:
    directory = store.directory
    existing = directory if directory.exists() else directory.resolve().parent
    if not existing.is_dir():
        return Finding(Health.PROBLEM, "store", f"{existing} is not a directory", "set store.directory")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Finding(Health.PROBLEM, "store", f"{existing}: {error.strerror}", "make it writable for this user")
    disk = shutil.disk_usage(existing)
    free, reserve = disk.free, max(store.reserve, int(store.reserve_share * disk.total) if store.reserve else 0)
    text = f"{directory}, {free >> 20:,} MiB free"
    if free < reserve:
        return Finding(Health.PROBLEM, "store", text, f"free some space: {reserve >> 20:,} MiB are its reserve")
    return Finding(Health.OK, "store", text)


def _port(name: str, listen: str) -> Finding:
    host, _, port = listen.rpartition(":")
    try:
        with socket.create_server((host.strip("[]"), int(port))):
            return Finding(Health.OK, name, f"{listen} is free")
    except OSError as error:
        if name == "grafana" and _is_foreband(listen):
            return Finding(Health.OK, name, f"{listen}: Foreband is running there")
        advice = "fine if Foreband is running; else stop the other program or choose another address"
        return Finding(Health.WARNING, name, f"{listen}: {error.strerror}", advice)


def _is_foreband(listen: str) -> bool:
    """Ask for `/healthz`; a running Foreband that speaks TLS ends the connection, and is not recognised."""
    try:
        with urlopen(f"http://{listen}/healthz", timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, HTTPException):
        return False


def _waiting(listen: str) -> Iterator[Finding]:
    """Ask a running Foreband which settings it has read and not put into effect."""
    try:
        with urlopen(f"http://{listen}/metrics", timeout=2) as response:
            families = list(text_string_to_metric_families(response.read().decode()))
    except (OSError, HTTPException, ValueError):  # none runs there, or it asks for a token
        return
    samples = [sample for family in families if family.name == "foreband_config_waiting" for sample in family.samples]
    if samples:
        names = ", ".join(sample.labels.get("setting", "") for sample in samples)
        yield Finding(Health.WARNING, "configuration", f"read again, not in effect: {names}", "restart Foreband")


def _security(config: Config) -> Finding:
    """Read certificates and tokens as a start would."""
    try:
        locks = Locks.of(config.security)
    except ConfigError as error:
        return Finding(Health.PROBLEM, "security", str(error), "Foreband does not start with it")
    tokens = "bearer tokens" if locks.tokens.is_required else "no tokens"
    clients = ", client certificates" if locks.certificates and locks.certificates.asks_for_clients else ""
    return Finding(Health.OK, "security", f"{'TLS' if locks.certificates else 'plain text'}{clients}, {tokens}")


def _destinations(config: ForwardConfig) -> Iterator[Finding]:
    if not config.all_destinations():
        yield Finding(Health.OK, "forward", "no endpoint configured: nothing is forwarded")
    for destination in config.all_destinations():
        yield _downstream(destination.endpoint, 4318 if destination.protocol == "http" else 4317)


def _memory(limit: int) -> Finding:
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    text = f"limit {limit >> 20:,} MiB, installed {installed >> 20:,} MiB"
    if limit > installed:
        return Finding(Health.WARNING, "memory", text, "set memory.limit to what this process may really have")
    return Finding(Health.OK, "memory", text)


def _downstream(endpoint: str, default_port: int) -> Finding:
    parts = urlsplit(endpoint)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or default_port), timeout=3):
            return Finding(Health.OK, "forward", f"{endpoint} answers")
    except OSError as error:
        advice = "data waits in the outbox until it can be reached"
        return Finding(Health.WARNING, "forward", f"{endpoint}: {error}", advice)


def _prophet() -> Finding:
    import numpy as np

    from collector_processor.clock import HOUR
    from collector_processor.forecast.reference import ProphetForecaster

    hours = np.arange(96)
    times, values = hours * HOUR, 10 + np.sin(hours * np.pi / 12) + 0.1 * np.cos(hours * 1.7)
    try:
        fitted = ProphetForecaster().fit(times, values)
        error = float(np.max(np.abs(fitted.predict(times) - values)))
    except Exception as failure:  # noqa: BLE001 - any failure of a foreign library is the finding
        return Finding(Health.PROBLEM, "prophet", f"a test fit failed: {failure}", "reinstall the prophet package")
    return Finding(Health.OK, "prophet", f"a test fit works (largest error {error:.2g})")
