"""Compiled code is there once much came in, and nothing hangs on it."""

import math
from types import ModuleType

import pytest

from collector_processor.kernels import LateKernel
from tests.process import wait_until


def test_a_kernel_is_loaded_once_much_came_in() -> None:
    kernel = LateKernel("counting", lambda: math, much=10)
    assert kernel.loaded_for(9) is None
    assert kernel.loaded is None
    kernel.loaded_for(1)
    assert wait_until(lambda: kernel.loaded is math)
    assert kernel.loaded_for(1) is math


def test_a_kernel_that_cannot_be_loaded_is_done_without(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> ModuleType:
        raise ImportError("no numba")

    kernel = LateKernel("counting", fail, much=1)
    assert kernel.loaded_for(1) is None
    assert wait_until(lambda: "counting stays without compiled code" in caplog.text)
    assert kernel.loaded_for(1) is None
