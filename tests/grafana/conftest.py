from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from collector_processor.clock import ManualClock
from collector_processor.store.sqlite import open_reader
from grafana_datasource.app import Settings, create_app
from tests.grafana.browser import Browser
from tests.grafana.scene import Scene, write_scene


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    directory: Path = tmp_path_factory.mktemp("grafana") / "store"
    return write_scene(directory)


@pytest.fixture(scope="session")
def app(scene: Scene) -> Iterator[Flask]:
    app = create_app(Settings(partial(open_reader, scene.directory), clock=ManualClock(scene.now)))
    yield app
    app.extensions["foreband"].close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[Browser]:
    browser = Browser(program("chromium"), program("chromedriver"), tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.driver.quit()
