"""Compiled code, loaded once so much comes in that it pays.

numba takes 64 MiB and a third of a second to be imported before there is a kernel, so whoever sends little never loads
it. Until a kernel is there, and where it cannot be had, the code that it is faster than does the work.
"""

import logging
import time
from collections.abc import Callable
from threading import Lock, Thread
from types import ModuleType
from typing import ClassVar

log = logging.getLogger(__name__)

_BUSY_SECONDS = 10.0
MUCH_POINTS, MUCH_BYTES = 50_000, 4 << 20
"""What is much within that time, and about as much on the wire: 5,000 points a second.

There compiled code saves some hundredths of a core, which alone would not pay for 110 MiB. But a request of 1,000
points is judged in a fifth of the time, and whoever waits for its acknowledgement waits for that.
"""
_LEAST_MEMORY = 512 << 20

syntax_trees = Lock()
"""Held while syntax trees are made, as numba and werkzeug's routes do.

Where two threads do so at once, CPython before 3.11.8 and 3.12.2 may raise SystemError (its issue 106905).
"""


def spare_memory(limit: int) -> None:
    """Load no kernel from now on where this process may hold so little that telemetry would be refused for it."""
    LateKernel.is_affordable = limit >= _LEAST_MEMORY


class LateKernel:
    """A kernel that a thread loads when `much` came in within ten seconds; for any thread.

    `load` returns the kernel's module with its functions compiled. `work` names what it does, for the log.
    """

    is_affordable: ClassVar[bool] = True

    def __init__(self, work: str, load: Callable[[], ModuleType], much: int) -> None:
        self._work, self._load, self._much = work, load, much
        self._kernel: ModuleType | None = None
        self._lock = Lock()
        self._is_begun = False
        self._came_in, self._since = 0, 0.0

    @property
    def loaded(self) -> ModuleType | None:
        """Return the kernel, None while there is none."""
        return self._kernel

    def loaded_for(self, amount: int) -> ModuleType | None:
        """Return the kernel, None while there is none; what came in is counted until there is one."""
        kernel = self._kernel
        if kernel is None:
            self._note(amount)
        return kernel

    def load(self) -> None:
        """Load the kernel now; it is compiled where no machine code of it is kept."""
        with syntax_trees:
            self._kernel = self._load()

    def _note(self, amount: int) -> None:
        """Count what came in; begin to load where it is much."""
        with self._lock:
            now = time.monotonic()
            if now - self._since > _BUSY_SECONDS:
                self._came_in, self._since = 0, now
            self._came_in += amount
            if self._is_begun or self._came_in < self._much or not self.is_affordable:
                return
            self._is_begun = True
        Thread(target=self._try_to_load, name=f"kernel: {self._work}", daemon=True).start()

    def _try_to_load(self) -> None:
        try:
            self.load()
        except Exception:
            log.exception("%s stays without compiled code", self._work)
