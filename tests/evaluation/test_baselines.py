import numpy as np
import pytest

from collector_processor.clock import DAY
from collector_processor.evaluation.baselines import BASELINES, flags
from collector_processor.evaluation.trace import Trace, blank, day_before
from collector_processor.telemetry.points import Float64
from tests.evaluation.labelled import START, STEP, labelled, load

TIME, VALUE = load(10)
BURST = slice(7 * 96 + 40, 7 * 96 + 44)


def traced(value: Float64) -> Trace:
    columns = blank(TIME.size) | {"day_before": day_before(TIME, value, STEP)}
    return Trace(
        time_unix_nano=TIME,
        value=value,
        episode=np.empty((0, 2), np.int64),
        kind=np.empty(0, np.str_),
        alarm=np.empty((0, 2), np.int64),
        rejected=0,
        cpu_seconds=0.0,
        **columns,
    )


@pytest.mark.parametrize("name", [name for name in BASELINES if not name.startswith("random")])
def test_a_burst_far_beyond_everything_is_flagged_and_the_first_day_never(name: str) -> None:
    value = VALUE.copy()
    value[BURST] += 60.0
    value[:96] += np.where(np.arange(96) % 7 == 0, 5.0, 0.0)
    flagged = flags(labelled(TIME, value), traced(value))[name]
    assert flagged[BURST].any()
    assert not flagged[TIME < START + DAY].any()


@pytest.mark.parametrize("name", BASELINES)
def test_no_baseline_looks_ahead(name: str) -> None:
    changed = VALUE.copy()
    changed[6 * 96 :] += 40.0
    before = flags(labelled(TIME, VALUE), traced(VALUE))[name]
    after = flags(labelled(TIME, changed), traced(changed))[name]
    assert np.array_equal(before[: 6 * 96], after[: 6 * 96])


def test_a_constant_series_is_never_flagged_but_at_random() -> None:
    flat = np.full(TIME.size, 3.3)
    found = flags(labelled(TIME, flat), traced(flat))
    assert [name for name, flagged in found.items() if flagged.any() and "random" not in name] == []
