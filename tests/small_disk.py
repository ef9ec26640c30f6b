"""A disk of a few megabytes, and a way to fill it to the last byte."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(directory: Path, size: str) -> Iterator[Path]:
    """Mount a disk of a size such as `8m`; skip where that takes rights this user has not."""
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("only root may mount a disk")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def fill(disk: Path, leave: int = 0) -> None:
    """Write a file over all that is free but `leave` bytes."""
    with (disk / "filler").open("ab", buffering=0) as filler:
        free = os.statvfs(disk)
        try:
            os.posix_fallocate(filler.fileno(), filler.tell(), max(1, free.f_bavail * free.f_frsize - leave))
        except OSError:  # somebody else took some of it in the meantime
            with suppress(OSError):
                while filler.write(bytes(4096)):
                    pass


def empty(disk: Path) -> None:
    """Give the space back."""
    (disk / "filler").unlink()
