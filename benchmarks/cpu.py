"""CPU seconds of this process and its children."""

import resource
import time
from collections.abc import Callable
from statistics import median

ROUNDS = 5


def cpu(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the median CPU seconds of `work`."""
    spent = []
    for _ in range(rounds):
        before = _cpu_now()
        work()
        spent.append(_cpu_now() - before)
    return median(spent)


def _cpu_now() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
