"""A real Alertmanager that tells a webhook of every alert at once."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port
from tests.servers.program import answers, running


@contextmanager
def running_alertmanager(program: str, directory: Path, webhook: str, token: str) -> Iterator[str]:
    """Run one that sends to `webhook` with a token; yield its URL."""
    directory.mkdir()
    url, credentials = f"http://127.0.0.1:{free_port()}", {"type": "Bearer", "credentials": token}
    hook = {"url": webhook, "http_config": {"authorization": credentials}}
    timing = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1m"}
    config = {
        "route": {"receiver": "foreband", "group_by": ["..."], **timing},
        "receivers": [{"name": "foreband", "webhook_configs": [hook]}],
    }
    (directory / "config.yml").write_text(json.dumps(config))
    command = [
        program,
        f"--config.file={directory / 'config.yml'}",
        f"--storage.path={directory / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with running(command, directory / "log", lambda: answers(f"{url}/-/ready")):
        yield url
