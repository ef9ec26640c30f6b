"""A real Prometheus that takes what is written to it and scrapes nothing."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

from tests.process import free_port, wait_until


class Prometheus(NamedTuple):
    """A running one."""

    url: str
    pid: int


@contextmanager
def running_prometheus(program: str) -> Iterator[Prometheus]:
    """Run one with an empty store."""
    url = f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as text, Path(text, "log").open("w") as log:
        directory = Path(text)
        (directory / "config.yml").write_text("{}")
        command = [
            program,
            f"--config.file={directory / 'config.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={url.removeprefix('http://')}",
            "--web.enable-remote-write-receiver",
        ]
        with subprocess.Popen(command, stdout=log, stderr=log) as running:
            try:
                assert wait_until(lambda: running.poll() is not None or answers(f"{url}/-/ready"))
                assert running.poll() is None, (directory / "log").read_text()
                yield Prometheus(url, running.pid)
            finally:
                running.terminate()
                running.wait(10)


def answers(url: str) -> bool:
    """Tell whether a GET is answered with 200."""
    try:
        with urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (URLError, OSError):
        return False
