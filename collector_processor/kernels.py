"""Compiled code, loaded once so much comes in that it pays.

numba takes 64 MiB and a third of a second to be imported before there is a kernel, so whoever sends little never loads
it. Until a kernel is there, and where it cannot be had, the code that it is faster than does the work.
"""

import logging
import time
from collections.abc import Callable
from threading import Lock, Thread
from types import ModuleType

log = logging.getLogger(__name__)

_BUSY_SECONDS = 10.0


class LateKernel:
    """A kernel that a thread loads when `much` came in within ten seconds; for any thread.

    `load` returns the kernel's module with its functions compiled. `work` names what it does, for the log.
    """

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
        self._kernel = self._load()

    def _note(self, amount: int) -> None:
        """Count what came in; begin to load where it is much."""
        with self._lock:
            now = time.monotonic()
            if now - self._since > _BUSY_SECONDS:
                self._came_in, self._since = 0, now
            self._came_in += amount
            if self._is_begun or self._came_in < self._much:
                return
            self._is_begun = True
        Thread(target=self._try_to_load, name=f"kernel: {self._work}", daemon=True).start()

    def _try_to_load(self) -> None:
        try:
            self.load()
        except Exception:
            log.exception("%s stays without compiled code", self._work)
