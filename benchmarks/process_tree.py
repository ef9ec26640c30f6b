"""What a process and all its children use, from Linux' /proc."""

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since the start, of ended children too, and proportional set size in bytes."""

    cpu_seconds: float
    children_cpu_seconds: float
    bytes_held: int


def usage(root: int) -> Usage:
    """Return what `root` and its children use now."""
    own, ended = _cpu(root)
    below = children(root)
    of_children = ended + sum(sum(_cpu(pid)) for pid in below)
    return Usage(own + of_children, of_children, sum(_proportional(pid) for pid in (root, *below)))


def children(root: int) -> list[int]:
    """Return the processes below `root`."""
    tasks = (_PROC / str(root) / "task").iterdir()
    found = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return found + [deeper for pid in found if _exists(pid) for deeper in children(pid)]


def _exists(pid: int) -> bool:
    return (_PROC / str(pid)).exists()


def _cpu(pid: int) -> tuple[float, float]:
    """Return CPU seconds of a process and of its children that have ended; none where it is gone."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0, 0.0
    user, system, child_user, child_system = (int(field) / _TICKS for field in fields[11:15])
    return user + system, child_user + child_system


def _proportional(pid: int) -> int:
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("Pss:")), 0)
