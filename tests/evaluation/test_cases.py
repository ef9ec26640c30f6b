"""What people would say of a series, and whether the product says the same."""

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR
from collector_processor.telemetry.points import Float64, Int64
from tests.evaluation.cases import Spans, during, episodes, moments, nightly, of_kind, wave, weekdays

DAYS = 14
EVENT = 12.5
"""Days from the start; noon of the thirteenth day."""


def made() -> dict[str, tuple[Int64, Float64]]:
    time, rng = moments(DAYS), np.random.default_rng(7)
    noise, n = rng.normal(size=(8, time.size)), time.size
    lasting = during(time, EVENT, EVENT + 0.25)
    payments = (7_000 + 3_250 * wave(time)) * (0.55 + 0.45 * weekdays(time)) * (1 + 0.02 * noise[0])
    errors = rng.binomial(2_000, 0.01 + 0.02 * lasting) / 2_000
    bursts = np.where(rng.random(n) < 0.01, rng.normal(100.0, 15.0, n), 0.0)  # every eight hours or so, at any time
    return {
        "payments": (time, payments * (1 - 0.59 * lasting)),
        "errors": (time, errors),
        "cpu": (time, np.clip(0.20 + 0.03 * wave(time) + 0.01 * noise[1] + 0.5 * lasting, 0, 1)),
        "batch": (time, 5.0 + 0.5 * noise[2] + 80.0 * nightly(time)),
        "bursts": (time, bursts),
        "bigger": (time, bursts + 5_000.0 * during(time, EVENT, EVENT + HOUR / DAY)),
        "requests": (time, np.clip(40 + 15 * wave(time) + 1.5 * noise[3], 0, None) * (1 - lasting)),
        "idle": (time, np.zeros(n)),
    }


KINDS = {"payments": "request_rate", "errors": "error_ratio", "cpu": "utilisation", "requests": "request_rate"}


@pytest.fixture(scope="module")
def found() -> dict[str, Spans]:
    return episodes(made(), *(of_kind(name, kind) for name, kind in KINDS.items()))


@pytest.mark.parametrize(
    ("name", "within_steps"),
    [("payments", 1), ("errors", 2), ("cpu", 1), ("bigger", 1), ("requests", 1)],
)
def test_what_everybody_would_be_woken_for_is_one_alert_at_once(
    found: dict[str, Spans], name: str, within_steps: int
) -> None:
    """Payments fall, 1 % of errors become 3 %, a CPU goes from 20 to 70 %, a burst beyond all, a service dies."""
    late = [start for start, _ in found[name] if start >= EVENT]
    assert len(late) == 1
    assert late[0] - EVENT <= within_steps * 5 / 1440 + 1e-9


@pytest.mark.parametrize("name", ["payments", "errors", "cpu", "requests", "batch", "idle"])
def test_before_it_nobody_is_woken_and_by_the_nightly_job_never(found: dict[str, Spans], name: str) -> None:
    assert [start for start, _ in found[name] if start < EVENT] == []


def test_a_metric_that_is_zero_for_hours_and_bursts_at_any_time_is_no_news(found: dict[str, Spans]) -> None:
    assert [start for start, _ in found["bursts"] if start >= 3] == []
