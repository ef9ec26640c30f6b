"""A gRPC door for each test that asks for one."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.otlp.grpc_door import Door


@pytest.fixture
def open_door() -> Iterator[Callable[..., Door]]:
    doors: list[Door] = []

    def opened(**settings: Any) -> Door:
        doors.append(Door(**settings))
        return doors[-1]

    yield opened
    for door in doors:
        door.close()


@pytest.fixture
def door(open_door: Callable[..., Door]) -> Door:
    return open_door()
