"""A server program of others, from its start until a test is done with it."""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.process import wait_until


@contextmanager
def running(
    command: Sequence[str], log: Path, is_ready: Callable[[], object], environ: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program; `log` gets what it says, which is shown where it is never ready."""
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file, env=environ) as program:
        try:
            is_there = wait_until(lambda: program.poll() is not None or is_ready())
            assert is_there, log.read_text()
            assert program.poll() is None, log.read_text()
            yield program
        finally:
            program.terminate()
            program.wait(30)


def answers(url: str) -> bool:
    """Tell whether a GET is answered with 200."""
    try:
        with urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False
