"""A real Prometheus."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.ports import free_port
from tests.servers.program import answers, running


class Prometheus(NamedTuple):
    """A running one."""

    url: str
    pid: int


@contextmanager
def running_prometheus(
    program: str, directory: Path, config: Mapping[str, Any] | None = None, *flags: str
) -> Iterator[Prometheus]:
    """Run one on what is in a directory, its data in `data`; by default it scrapes nothing."""
    url = f"http://127.0.0.1:{free_port()}"
    (directory / "config.yml").write_text(json.dumps(config or {}))
    command = [
        program,
        f"--config.file={directory / 'config.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        *flags,
    ]
    with running(command, directory / "log", lambda: answers(f"{url}/-/ready")) as process:
        yield Prometheus(url, process.pid)


@contextmanager
def empty_prometheus(program: str, directory: Path) -> Iterator[Prometheus]:
    """Run one that takes what is written to it."""
    with running_prometheus(program, directory, None, "--web.enable-remote-write-receiver") as server:
        yield server
