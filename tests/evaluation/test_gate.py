"""What the detection must not fall back behind: small fixed data, the shipped settings, seconds.

The bounds leave room for what changes with a forecast's last digits, and none for a detector that got worse.
"""

from pathlib import Path

import numpy as np
import pytest

from collector_processor.clock import DAY
from collector_processor.evaluation.dataset import LabelledSeries, read_dataset
from collector_processor.evaluation.events import count
from collector_processor.evaluation.forecast_error import forecast_error
from collector_processor.evaluation.replay import ReplaySettings, replay
from collector_processor.evaluation.summary import Detection, ForecastQuality, detection, forecast_quality
from tests.evaluation.labelled import labelled, load, with_faults

SHARED = Path(__file__).parents[3] / "shared" / "data" / "ad" / "mscloud" / "consumer-purchase-rate"


def evaluated(dataset: list[LabelledSeries]) -> tuple[Detection, ForecastQuality]:
    traces = replay(dataset, ReplaySettings())
    together = list(zip(dataset, traces, strict=True))
    counts = [count(series, trace.time_unix_nano, trace.episode) for series, trace in together]
    return detection(counts), forecast_quality([forecast_error(series, trace) for series, trace in together])


def test_plain_faults_in_a_daily_load_are_found_at_once_and_nothing_else_is() -> None:
    found, quality = evaluated([with_faults(seed, f"{seed}.csv") for seed in range(3)])
    assert (found.recall, found.precision, found.fragments) == (1.0, 1.0, 1.0)
    assert found.steps_to_detect == (0.0, 0.0)
    assert found.share_of_normal_time_in_alarm <= 0.01
    assert quality.mae_ratio_day <= 0.8
    assert quality.median_coverage == pytest.approx((0.8, 0.95, 0.99), abs=0.025)


def test_stationary_noise_raises_no_alarm() -> None:
    time, _ = load(10)
    rng = np.random.default_rng(1)
    shapes = {
        "normal": rng.normal(size=time.size),
        "heavy tails": rng.standard_t(4, time.size),
        "counts": rng.poisson(3.0, time.size).astype(float),
        "seasonal": 5.0 * np.sin(2 * np.pi * time / DAY) + rng.normal(size=time.size),
    }
    found, _ = evaluated([labelled(time, value, name=name) for name, value in shapes.items()])
    assert found.false_alarms_per_series_week <= 0.3


@pytest.mark.skipif(not SHARED.is_dir(), reason="the labelled telemetry is not beside this checkout")
def test_real_purchases_are_no_worse_than_they_were() -> None:
    found, quality = evaluated(read_dataset(SHARED))
    assert found.events == 12
    assert found.f1 >= 0.65
    assert found.false_alarms_per_series_week <= 0.06
    assert quality.mae_ratio_hour <= 0.8
