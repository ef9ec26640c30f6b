"""Verdicts in the head: compiled code writes the same bytes as NumPy does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.kernels import LateKernel
from collector_processor.store import verdict_rows
from collector_processor.store.verdict_codec import rounded
from collector_processor.telemetry.verdict import VerdictBatch
from tests.store.batches import same_verdicts

NAN = float("nan")
any_float = st.floats(width=64) | st.floats(-100, 100) | st.just(NAN)
rows_of_floats = st.lists(
    st.tuples(*[any_float] * 5, st.sampled_from([-1, 0, 1])) | st.just((1.0, NAN, NAN, NAN, NAN, 0)),
    min_size=1,
    max_size=20,
)


@pytest.fixture(scope="module", autouse=True)
def kernel() -> None:
    verdict_rows.KERNEL.load()


@pytest.fixture(scope="module")
def by_numpy() -> LateKernel:
    return LateKernel("nothing", lambda: pytest.fail("it is not much"), 1 << 60)


@settings(max_examples=300)
@given(rows=rows_of_floats)
def test_compiled_code_packs_the_same_bytes_and_they_are_the_rounded_verdicts(
    by_numpy: LateKernel, rows: list[tuple[float, ...]]
) -> None:
    value, yhat, lower, upper, score, anomaly = (np.array(column) for column in zip(*rows, strict=True))
    verdicts = VerdictBatch(yhat, lower, upper, score, anomaly.astype(np.int8))
    packed = verdict_rows.pack(value, verdicts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdict_rows, "KERNEL", by_numpy)
        assert verdict_rows.pack(value, verdicts) == packed
    assert same_verdicts(verdict_rows.unpack(packed or b"", value.size), rounded(value, verdicts))


@given(half=st.floats(1e-300, 1e300), at=st.floats(-3, 3))
def test_bands_of_any_width_are_packed_the_same(by_numpy: LateKernel, half: float, at: float) -> None:
    value = np.array([at * half])
    verdicts = VerdictBatch(np.zeros(1), np.full(1, -half), np.full(1, half), np.full(1, at), np.zeros(1, np.int8))
    packed = verdict_rows.pack(value, verdicts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdict_rows, "KERNEL", by_numpy)
        assert verdict_rows.pack(value, verdicts) == packed
