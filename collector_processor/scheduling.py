"""Turns on a processor that others want, too.

Who asks Linux for short turns is not kept waiting until others have ended their long ones. That matters where fits and
acknowledgements share a processor: a fit takes milliseconds at a time, and a request waits for several turns of it.
The share of each stays as it is. Before Linux 6.12, and elsewhere, all turns are alike.
"""

import ctypes
import os
import platform
import struct
import sys

_SHORT_NANOS = 1_000_000  # of a usual 1.4 to 2.8 ms; with much shorter ones our own threads interrupt each other
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""Number of the system call, which the C library has no function for, by machine."""

_ATTRIBUTES = struct.Struct("=IIQiIQQQ")  # size, policy, flags, nice, priority, runtime, deadline, period


def take_short_turns() -> bool:
    """Ask for short turns for this thread and those it starts, and their processes. Tells whether that was possible."""
    return _ask_for(_SHORT_NANOS)


def take_usual_turns() -> bool:
    """Take it back, for this thread. Tells whether that was possible."""
    return _ask_for(0)


def _ask_for(nanos: int) -> bool:
    number = _SCHED_SETATTR.get(platform.machine()) if sys.platform == "linux" else None
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    asked = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, nanos, 0, 0)
    done: int = ctypes.CDLL(None).syscall(number, 0, asked, 0)
    return done == 0
