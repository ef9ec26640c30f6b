import numpy as np
import pandas as pd
from prophet import Prophet

from collector_processor.clock import DAY, NANOS_PER_SECOND
from collector_processor.forecast.design import DEFAULT_DESIGN, REFERENCE_UNIX_NANO

NOW = 1_767_225_600 * NANOS_PER_SECOND + 37 * DAY


def test_the_fourier_terms_are_prophets_to_the_last_bit() -> None:
    time = NOW + np.random.default_rng(0).integers(-900 * DAY, 900 * DAY, 2000)
    dates = pd.Series(time.astype("datetime64[ns]"))
    x = DEFAULT_DESIGN.evaluate(time)
    for seasonality in DEFAULT_DESIGN.seasonalities:
        expected = Prophet.fourier_series(dates, seasonality.period_days, seasonality.order)
        np.testing.assert_array_equal(x[:, DEFAULT_DESIGN.columns(seasonality.name)], expected)


def test_the_first_columns_are_a_constant_and_days() -> None:
    time = REFERENCE_UNIX_NANO + np.array([0, DAY, -DAY // 2])
    np.testing.assert_array_equal(DEFAULT_DESIGN.evaluate(time)[:, :2], [[1.0, 0.0], [1.0, 1.0], [1.0, -0.5]])


def test_every_column_belongs_to_one_term() -> None:
    covered = [0, 1]
    for seasonality in DEFAULT_DESIGN.seasonalities:
        columns = DEFAULT_DESIGN.columns(seasonality.name)
        covered += range(columns.start, columns.stop)
    assert covered == list(range(DEFAULT_DESIGN.size))
    assert DEFAULT_DESIGN.evaluate(np.array([NOW])).shape == (1, DEFAULT_DESIGN.size)
