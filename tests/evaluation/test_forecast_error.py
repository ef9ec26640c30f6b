from dataclasses import replace

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR
from collector_processor.evaluation.events import within_events
from collector_processor.evaluation.forecast_error import forecast_error
from collector_processor.evaluation.summary import forecast_quality
from collector_processor.evaluation.trace import Trace, blank, day_before
from collector_processor.telemetry.points import Float64
from tests.evaluation.labelled import STEP, labelled, load

TIME, VALUE = load(10)
SERIES = labelled(TIME, VALUE, (5 * DAY, 6 * DAY))


def traced(yhat: Float64, half_width: float) -> Trace:
    naive = day_before(TIME, VALUE, STEP)
    widths = np.full((TIME.size, 3), half_width)
    columns = blank(TIME.size) | {
        "yhat": yhat,
        "hour_ahead": yhat,
        "day_ahead": yhat,
        "day_before": naive,
        "offset_lower": -widths,
        "offset_upper": widths,
        "day_before_lower": -widths,
        "day_before_upper": widths,
    }
    return Trace(
        time_unix_nano=TIME,
        value=VALUE,
        episode=np.empty((0, 2), np.int64),
        kind=np.empty(0, np.str_),
        alarm=np.empty((0, 2), np.int64),
        rejected=0,
        cpu_seconds=0.0,
        **columns,
    )


def test_the_value_a_day_before_has_a_ratio_of_one_to_itself() -> None:
    error = forecast_error(SERIES, traced(day_before(TIME, VALUE, STEP), 1.0))
    assert (error.hour_ahead, error.day_ahead, error.pinball) == (1.0, 1.0, 1.0)


def test_errors_in_the_windows_of_events_do_not_count_and_coverage_does() -> None:
    wrong = within_events(TIME, SERIES.events)
    error = forecast_error(SERIES, traced(VALUE + np.where(wrong, 1e6, 0.1), 0.2))
    assert error.day_ahead < 0.5
    scored = np.count_nonzero(SERIES.eval_from <= TIME)
    assert error.coverage.tolist() == [pytest.approx(1.0 - wrong.sum() / scored)] * 3


def test_a_series_that_repeats_itself_exactly_has_no_ratio() -> None:
    flat = replace(SERIES, value=np.ones(TIME.size))
    trace = replace(traced(np.full(TIME.size, 1.5), 1.0), value=np.ones(TIME.size), day_before=np.ones(TIME.size))
    error = forecast_error(flat, trace)
    assert np.isnan(error.day_ahead)
    quality = forecast_quality([error])
    assert np.isnan(quality.mae_ratio_day)
    assert quality.well_covered == 1.0


def test_the_value_a_day_before_is_never_later_and_not_much_older() -> None:
    time = np.array([0, DAY - HOUR, DAY + HOUR, 3 * DAY])
    found = day_before(time, np.arange(4.0), HOUR)
    assert np.isnan(found[[0, 1, 3]]).all()
    assert found[2] == 0.0
