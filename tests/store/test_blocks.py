"""Whole blocks past the system's cache, and through it: what a file holds is what was written, wherever blocks end."""

import tempfile
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.store import blocks
from collector_processor.store.blocks import BLOCK_BYTES, BlockWriter
from tests.store.test_sqlite import no_file_larger_than

SIZES = st.one_of(st.integers(0, 100), st.integers(BLOCK_BYTES - 3, BLOCK_BYTES + 3), st.integers(0, 5 * BLOCK_BYTES))
WRITES = st.lists(
    st.tuples(st.lists(SIZES, max_size=5), st.sampled_from(["kept", "reverted", "refused", "new writer"]))
)


@pytest.mark.parametrize("past_the_cache", sorted({0, blocks._PAST_THE_CACHE}))
@settings(max_examples=40)
@given(WRITES, st.integers(0, 2**32))
def test_what_is_kept_of_many_writes_stands_one_behind_the_other(
    past_the_cache: int, writes: list[tuple[list[int], str]], seed: int
) -> None:
    chance, expected = Random(seed), b""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_BUFFER_BYTES", 3 * BLOCK_BYTES)
        patch.setattr(blocks, "_PAST_THE_CACHE", past_the_cache)
        path = Path(name, "file")
        path.touch()
        writer = BlockWriter(path)
        for sizes, fate in writes:
            parts = [chance.randbytes(size) for size in sizes]
            if fate == "refused":
                with no_file_larger_than(len(expected) + sum(sizes) // 2), suppress(OSError):
                    writer.write(parts, len(expected))
            else:
                writer.write(parts, len(expected))
            if fate == "kept by a new writer":
                writer.close()
                writer = BlockWriter(path)
            expected += b"".join(parts) if fate.startswith("kept") else b""
            assert path.read_bytes()[: len(expected)] == expected
        writer.close()


def test_a_file_that_lost_what_comes_before_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(10))
    writer = BlockWriter(path)
    with pytest.raises(OSError, match="became shorter"):
        writer.write([b"more"], 20)
    assert path.read_bytes() == bytes(10)
    writer.close()
