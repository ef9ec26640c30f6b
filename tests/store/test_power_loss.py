"""What is left of a store after a power failure; `python -m tests.store.power_loss 500` opens more images."""

from pathlib import Path

import pytest

from tests.store.power_loss import build_shim, record, verdicts


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shim = build_shim(tmp_path_factory.mktemp("shim"))
    if shim is None:
        pytest.skip("needs Linux and a C compiler")
    return shim


def test_no_power_failure_takes_what_was_acknowledged(shim: Path, tmp_path: Path) -> None:
    assert verdicts(record(shim, tmp_path), 60).keys() == {"whole"}


def test_a_store_that_did_not_wait_for_the_disk_would_be_found_out(shim: Path, tmp_path: Path) -> None:
    assert len(verdicts(record(shim, tmp_path, synchronous="OFF"), 60)) > 1


def test_a_disk_that_fails_to_sync_never_gets_an_acknowledgement(shim: Path, tmp_path: Path) -> None:
    assert verdicts(record(shim, tmp_path, fail_every=11), 60).keys() == {"whole"}
