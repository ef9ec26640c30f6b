"""The configuration, read again while Foreband runs."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector_processor.clock import MINUTE
from collector_processor.config import Config, load_config
from collector_processor.doctor import examine
from collector_processor.errors import StoreError
from collector_processor.ledger import Signal
from collector_processor.pipeline import PipelineState
from collector_processor.reloading import adopted, differing
from tests.house import House
from tests.process import Process, end, wait_until

TOKEN, OTHER = "first-token-of-all", "second-token-of-all"


def config(*overrides: str) -> Config:
    return load_config(overrides=overrides, environ={})


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path, f"security.tokens.ingest=[{TOKEN}]")
    yield house
    house.close()


def reload(house: House, *overrides: str) -> None:
    """Reload the configuration of the house with these settings changed."""
    kept = (f"receiver.listen={house.foreband.config.receiver.listen}", f"store.directory={house.directory}")
    others = (f"security.tokens.ingest=[{TOKEN}]", "forecast.fit_timeout=1h")
    doors = ("receiver.http_listen=127.0.0.1:0", "grafana.listen=127.0.0.1:0")
    house.foreband.reload(lambda: config(*kept, *doors, *others, *overrides))


def send(house: House, name: str, token: str = TOKEN, **attributes: Any) -> bytes:
    request = house.moment("shop").gauge(name, (0, 1.0), **attributes)
    return house.send(Signal.METRICS, request, metadata=[("authorization", f"Bearer {token}")])


def test_what_can_change_at_once_is_taken_and_the_rest_is_named() -> None:
    at_once = (
        "series.limit=5",
        "detect.threshold=1.3",
        "silences.url=http://a",
        "security.hook_secrets=[sixteen-letters-]",
    )
    old, new = config(), config(*at_once, "store.retention=3d", "forward.queue=1GiB")
    live = adopted(old, new)
    assert list(differing(old, live)) == ["series.limit", "detect.threshold", "silences.url", "security.hook_secrets"]
    assert list(differing(live, new)) == ["store.retention", "forward.queue"]
    assert not list(differing(new, new))


def test_tokens_change_but_whether_there_are_any_does_not() -> None:
    none, one, other = config(), *(config(f"security.tokens.read=[{token}]") for token in (TOKEN, OTHER))
    assert adopted(one, other) == other
    for old, new in ((none, one), (one, none)):
        assert adopted(old, new) == old
        assert list(differing(old, new)) == ["security.tokens.read"]


def test_limits_policies_and_tokens_hold_at_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    send(house, "cpu", host="a")
    reload(house, "series.limit=1", f"security.tokens.ingest=[{OTHER}]", "detect.threshold=2.0", "forecast.workers=2")
    house.fail(Signal.METRICS, b"", metadata=[("authorization", f"Bearer {TOKEN}")])
    assert send(house, "cpu", OTHER, host="a") == b""
    assert b"no more distinct series" in send(house, "cpu", OTHER, host="b")
    said = [record.getMessage() for record in caplog.records if "configuration" in record.getMessage()]
    assert said == ["the configuration was read again; changed: series.limit, detect.threshold, security.tokens.ingest"]
    assert "these settings wait for a restart: forecast.workers" in caplog.messages
    assert TOKEN not in caplog.text
    assert OTHER not in caplog.text


def test_what_was_taken_before_a_reload_is_there_after_it(house: House) -> None:
    send(house, "cpu")
    reload(house, "policies=[{match: {metric: cpu}, detect: {threshold: 3.0}}]")
    house.clock.advance(MINUTE)
    send(house, "cpu")
    points = house.stored(house.moment("shop"))["cpu/value"]
    assert [value for _, value in points] == [1.0, 1.0]
    bands = house.read(lambda reader: reader.bands())
    assert bands.size == 1


def test_what_waits_for_a_restart_is_named_by_a_metric_and_the_doctor(tmp_path: Path) -> None:
    house = House(tmp_path)
    try:
        reload(house, "forecast.workers=2", "store.retention=3d")
        different = waiting(house)
        assert {"forecast.workers", "store.retention"} <= set(different)
        here = config(f"grafana.listen={house.addresses.http}", f"store.directory={house.directory}")
        expected = f"read again, not in effect: {', '.join(different)}"
        assert wait_until(lambda: expected in (found.text for found in examine(here)))  # it gives up on a slow machine
        reload(house)
        assert set(waiting(house)) == set(different) - {"forecast.workers", "store.retention"}
    finally:
        house.close()


def waiting(house: House) -> list[str]:
    with urlopen(f"http://{house.addresses.http}/metrics") as response:
        families = text_string_to_metric_families(response.read().decode())
    return [s.labels["setting"] for f in families if f.name == "foreband_config_waiting" for s in f.samples]


def test_a_wrong_configuration_changes_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    before = house.foreband.config
    reload(house, "series.limit=none")
    assert house.foreband.config is before
    assert "the former one holds: --set series.limit" in caplog.text


def test_a_store_that_fails_leaves_the_former_configuration_in_force(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = house.foreband.config
    with monkeypatch.context() as patched:
        patched.setattr(PipelineState, "reload", failing)
        reload(house, "series.limit=1")
    assert house.foreband.config is before
    for host in "abc":
        assert send(house, "cpu", host=host) == b""


def failing(*_: object) -> None:
    raise StoreError("the disk is gone for a moment")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, "log.format=json")
    yield process
    end(process)


def test_a_hangup_reads_the_file_again_whether_it_is_right_or_wrong(
    process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "foreband.yaml"
    file.write_text("detect: {threshold: 1.2}")
    monkeypatch.setenv("FOREBAND_CONFIG", str(file))
    process.start()
    started = metric(process, "timestamp_seconds")
    assert metric(process, "success") == 1.0
    file.write_text("detect: {treshold: 1.3}")
    process.signal(signal.SIGHUP)
    assert wait_until(lambda: metric(process, "success") == 0.0)
    assert f"{file}:1: detect.treshold: unknown key (did you mean 'threshold'?)" in process.log()
    assert metric(process, "timestamp_seconds") == started
    renamed = tmp_path / "new.yaml"
    renamed.write_text("detect: {threshold: 1.3}")
    file.unlink()
    file.symlink_to(renamed)
    process.signal(signal.SIGHUP)
    assert wait_until(lambda: metric(process, "success") == 1.0)
    assert metric(process, "timestamp_seconds") > started
    assert "changed: detect.threshold" in process.log()
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def metric(process: Process, name: str) -> float:
    return process.metrics()[f"foreband_config_reload_{name}", ""]
