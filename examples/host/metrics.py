"""Observe this machine with psutil, named by the OpenTelemetry semantic conventions for system metrics."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import psutil
from opentelemetry.metrics import CallbackOptions, Meter, Observation

Observe = Callable[[], Iterator[Observation]]

_CPU_MODES: Final = ("user", "system", "idle", "nice", "iowait", "interrupt", "steal")
_PSUTIL_CPU_FIELDS: Final = {"interrupt": "irq"}
_MEMORY_STATES: Final = ("used", "free", "buffers", "cached")
_PSEUDO_FILESYSTEMS: Final = frozenset({"squashfs", "overlay", "tmpfs", "devtmpfs", "devfs", "nullfs", "autofs"})


def create_instruments(meter: Meter) -> None:
    """Register everything this machine can tell; each export reads it afresh."""
    _gauge(meter, "system.cpu.utilization", "1", "CPU time by mode, as a share of all CPUs.", _CpuUtilization().observe)
    _gauge(meter, "system.cpu.load_average.1m", "{thread}", "Threads running or waiting, 1-minute mean.", _load)
    _up_down(meter, "system.memory.usage", "By", "Memory by state.", _memory_usage)
    _gauge(meter, "system.memory.utilization", "1", "Memory by state, as a share of all.", _memory_utilization)
    _counter(meter, "system.disk.io", "By", "Bytes transferred, all disks.", _disk_io)
    _counter(meter, "system.network.io", "By", "Bytes transferred by network interface.", _network_io)
    _gauge(meter, "system.filesystem.utilization", "1", "Used share of each mounted file system.", _filesystems)
    _up_down(meter, "system.process.count", "{process}", "Processes that exist.", _process_count)


class _CpuUtilization:
    """Shares of CPU time since the previous observation; the first one begins when this is created."""

    def __init__(self) -> None:
        self._before = _cpu_seconds()

    def observe(self) -> Iterator[Observation]:
        before, self._before = self._before, _cpu_seconds()
        spent = {mode: max(0.0, seconds - before[mode]) for mode, seconds in self._before.items()}
        total = sum(spent.values())
        if total > 0.0:
            yield from (Observation(seconds / total, {"cpu.mode": mode}) for mode, seconds in spent.items())


def _cpu_seconds() -> dict[str, float]:
    times = psutil.cpu_times()
    fields = {mode: _PSUTIL_CPU_FIELDS.get(mode, mode) for mode in _CPU_MODES}
    return {mode: getattr(times, field) for mode, field in fields.items() if hasattr(times, field)}


def _load() -> Iterator[Observation]:
    yield Observation(os.getloadavg()[0])


def _memory_usage() -> Iterator[Observation]:
    memory = psutil.virtual_memory()
    for state in _MEMORY_STATES:
        if hasattr(memory, state):
            yield Observation(getattr(memory, state), {"system.memory.state": state})


def _memory_utilization() -> Iterator[Observation]:
    total = psutil.virtual_memory().total
    return (Observation(usage.value / total, usage.attributes) for usage in _memory_usage())


def _disk_io() -> Iterator[Observation]:
    counters = psutil.disk_io_counters()
    if counters is not None:
        yield Observation(counters.read_bytes, {"disk.io.direction": "read"})
        yield Observation(counters.write_bytes, {"disk.io.direction": "write"})


def _network_io() -> Iterator[Observation]:
    for name, counters in psutil.net_io_counters(pernic=True).items():
        interface = {"network.interface.name": name}
        yield Observation(counters.bytes_recv, interface | {"network.io.direction": "receive"})
        yield Observation(counters.bytes_sent, interface | {"network.io.direction": "transmit"})


def _filesystems() -> Iterator[Observation]:
    """Report each device once, at its first mount point; container images and memory disks are left out."""
    seen: set[str] = set()
    for partition in psutil.disk_partitions(all=False):
        if partition.device in seen or partition.fstype in _PSEUDO_FILESYSTEMS:
            continue
        seen.add(partition.device)
        try:
            usage = psutil.disk_usage(partition.mountpoint)
        except OSError:
            continue  # unmounted meanwhile, or not ours to look at
        place = {"system.device": partition.device, "system.filesystem.mountpoint": partition.mountpoint}
        yield Observation(usage.percent / 100.0, place)


def _process_count() -> Iterator[Observation]:
    yield Observation(len(psutil.pids()))


def _callback(observe: Observe) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _: observe()


def _gauge(meter: Meter, name: str, unit: str, description: str, observe: Observe) -> None:
    meter.create_observable_gauge(name, [_callback(observe)], unit, description)


def _counter(meter: Meter, name: str, unit: str, description: str, observe: Observe) -> None:
    meter.create_observable_counter(name, [_callback(observe)], unit, description)


def _up_down(meter: Meter, name: str, unit: str, description: str, observe: Observe) -> None:
    meter.create_observable_up_down_counter(name, [_callback(observe)], unit, description)
