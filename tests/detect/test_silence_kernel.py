"""Compiled code takes the same note of who reports as NumPy does, to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.detect import silence
from collector_processor.detect.silence import Silence
from collector_processor.kernels import LateKernel
from collector_processor.telemetry.points import PointBatch

SERIES = 6
reports = st.lists(
    st.tuples(
        st.sets(st.integers(0, SERIES - 1)),
        st.sampled_from([0, 1, MINUTE, MINUTE + 7, 5 * MINUTE, 7 * HOUR]),  # since the last one
        st.integers(-10 * MINUTE, 10 * MINUTE),  # from now to the time of the points
        st.integers(0, 2),  # what is open of one series
    ),
    min_size=1,
    max_size=25,
)


@pytest.fixture(scope="module", autouse=True)
def kernel() -> None:
    silence.KERNEL.load()


@settings(max_examples=100)
@given(reports=reports)
def test_compiled_code_notes_the_same(reports: list[tuple[set[int], int, int, int]]) -> None:
    compiled, plain, now = Silence(), Silence(), 19_000 * DAY
    compiled.grow(SERIES)
    plain.grow(SERIES)
    nothing = LateKernel("nothing", lambda: pytest.fail("it is not much"), 1 << 60)
    for who, waited, ahead, scope in reports:
        now += waited
        series = np.array(sorted(who), np.int32)
        points = PointBatch(series, now + ahead + series.astype(np.int64), series.astype(np.float64))
        for each in (compiled, plain):
            each.records["scope"][0] = scope
        compiled.note(points, now)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(silence, "KERNEL", nothing)
            plain.note(points, now)
        assert compiled.records.tolist() == plain.records.tolist()
