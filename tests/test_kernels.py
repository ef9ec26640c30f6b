"""Compiled code is there once much came in, and nothing hangs on it."""

import math
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from flask import Flask

from collector_processor.kernels import LateKernel, spare_memory, syntax_trees
from collector_processor.store.sqlite import open_reader
from grafana_datasource.app import Settings, create_app
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


def test_no_kernel_is_loaded_where_there_is_too_little_memory_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LateKernel, "is_affordable", True)
    kernel = LateKernel("counting", lambda: math, much=1)
    spare_memory(256 << 20)
    assert [kernel.loaded_for(1) for _ in range(3)] == [None] * 3
    spare_memory(2 << 30)
    kernel.loaded_for(1)
    assert wait_until(lambda: kernel.loaded is math)


def test_syntax_trees_are_made_by_one_thread_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = []

    def loaded() -> ModuleType:
        alone.append(syntax_trees.locked())
        return math

    def add_url_rule(*_: object, **__: object) -> None:
        alone.append(syntax_trees.locked())

    LateKernel("counting", loaded, much=1).load()
    monkeypatch.setattr(Flask, "add_url_rule", add_url_rule)
    create_app(Settings(partial(open_reader, tmp_path)))
    assert len(alone) > 20
    assert all(alone)
