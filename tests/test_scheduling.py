"""Who takes short turns does so with the same priority as before, and who it starts may take the usual ones."""

import ctypes
import os
import platform
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from collector_processor.scheduling import take_short_turns, take_usual_turns

_SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}


def turn_and_nice() -> tuple[int, int]:
    """Return what this thread has asked for, in nanoseconds, and its priority."""
    attributes = ctypes.create_string_buffer(56)
    assert ctypes.CDLL(None).syscall(_SCHED_GETATTR[platform.machine()], 0, attributes, len(attributes), 0) == 0
    _, _, _, nice, _, runtime = struct.unpack_from("=IIQiIQ", attributes)
    return runtime, nice


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() not in _SCHED_GETATTR, reason="asks Linux itself")
def test_turns_are_short_for_who_asks_and_its_threads_at_the_same_priority() -> None:
    with ThreadPoolExecutor(1) as asking:
        usual, nice = asking.submit(turn_and_nice).result()
        assert asking.submit(take_short_turns).result()
        short = asking.submit(turn_and_nice).result()
        with ThreadPoolExecutor(1) as started:
            assert asking.submit(lambda: started.submit(turn_and_nice).result()).result() == short
        assert short[1] == nice == os.getpriority(os.PRIO_PROCESS, 0)
        assert short[0] <= usual  # equal before Linux 6.12, which knows of none
        assert asking.submit(take_usual_turns).result()
        assert asking.submit(turn_and_nice).result() == (usual, nice)
