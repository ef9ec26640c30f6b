import gc
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from queue import Queue

import pytest

from collector_processor.memory import (
    Gauge,
    MemoryWatch,
    Pressure,
    give_back,
    resident_memory,
    spare_what_stays,
)


def read(*shares: float) -> list[Pressure]:
    gauge = Gauge()
    return [gauge.read(share) for share in shares]


@pytest.mark.parametrize(
    ("share", "pressure"),
    [
        (0.0, Pressure.NONE),
        (0.719, Pressure.NONE),
        (0.72, Pressure.CACHES),
        (0.75, Pressure.FITS),
        (0.78, Pressure.SERIES),
        (0.80, Pressure.TELEMETRY),
        (0.95, Pressure.QUERIES),
        (3.0, Pressure.QUERIES),
    ],
)
def test_what_is_given_up_follows_the_share_in_use(share: float, pressure: Pressure) -> None:
    assert read(share) == [pressure]


def test_what_was_given_up_is_taken_up_again_only_below_the_lower_mark() -> None:
    assert read(0.81, 0.79, 0.71, 0.699, 0.79) == [
        *[Pressure.TELEMETRY] * 3,
        Pressure.NONE,
        Pressure.SERIES,
    ]


def test_who_stays_between_the_marks_is_not_refused_for_ever() -> None:
    *during, last = read(0.81, *[0.76] * 60)
    assert set(during) == {Pressure.TELEMETRY}
    assert last is Pressure.FITS


def test_a_burst_within_that_time_begins_it_anew() -> None:
    assert read(0.81, *[0.76] * 59, 0.80, *[0.76] * 59)[-1] is Pressure.TELEMETRY


def test_the_watch_tells_every_change_once(caplog: pytest.LogCaptureFixture) -> None:
    told: Queue[Pressure] = Queue()
    watch = MemoryWatch(1000, told.put, resident_bytes=iterated([500, 810, 810, 960, 600]), check_seconds=0.01)
    watch.start()
    assert [told.get(timeout=10) for _ in range(3)] == [Pressure.TELEMETRY, Pressure.QUERIES, Pressure.NONE]
    watch.stop()
    assert told.empty()
    assert [record.getMessage().rpartition(" ")[2] for record in caplog.records] == ["telemetry", "queries", "none"]


def iterated(values: Sequence[float]) -> Callable[[], float]:
    left = list(values)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is opened")
def test_memory_is_watched_also_when_no_file_descriptor_is_left() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_DESCRIPTORS], check=True, timeout=60)


WITHOUT_DESCRIPTORS = """
import resource
from threading import Event
from collector_processor.memory import MemoryWatch

changed = Event()
watch = MemoryWatch(1, lambda _: changed.set(), check_seconds=0.01)
watch.start()
most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, most[1]))
is_watched = changed.wait(30)
resource.setrlimit(resource.RLIMIT_NOFILE, most)  # threads cannot end without
watch.stop()
assert is_watched
"""


def test_the_resident_memory_is_that_of_this_process() -> None:
    before = resident_memory()
    block = b"\x01" * (64 << 20)
    assert resident_memory() - before > 48 << 20
    del block
    give_back()
    assert resident_memory() - before < 32 << 20


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_threads_share_few_heaps() -> None:
    script = """
import ctypes, threading
from collector_processor.memory import share_arenas
assert share_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
wait = threading.Barrier(17)
def allocate():
    libc.malloc(1 << 16)
    wait.wait()
    wait.wait()
threads = [threading.Thread(target=allocate) for _ in range(16)]
for thread in threads: thread.start()
wait.wait()
libc.malloc_stats()
wait.wait()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.count("Arena ") <= 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_a_large_block_below_others_is_given_back() -> None:
    script = """
from collector_processor.memory import give_back_large_blocks, resident_memory
assert give_back_large_blocks()
bytearray(8 << 20)  # moves the bar, where nothing holds it
blocks = [bytearray(b"1" * (4 << 20)) for _ in range(16)]
held = resident_memory()
last = blocks.pop()
blocks.clear()
assert held - resident_memory() > 48 << 20
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(("longest_seconds", "is_spared"), [(0.0, True), (3600.0, False)])
def test_what_a_long_collection_has_left_is_not_looked_at_again(longest_seconds: float, is_spared: bool) -> None:
    gc.unfreeze()
    undo = spare_what_stays(longest_seconds)
    try:
        gc.collect(1)
        assert gc.get_freeze_count() == 0
        gc.collect()
        assert (gc.get_freeze_count() > 0) == is_spared
    finally:
        undo()
        gc.unfreeze()
