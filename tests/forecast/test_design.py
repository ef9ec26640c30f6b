import numpy as np
import pandas as pd
from prophet import Prophet

from collector_processor.clock import DAY, NANOS_PER_SECOND
from collector_processor.forecast.design import BASIS

NOW = 1_767_225_600 * NANOS_PER_SECOND + 37 * DAY


def test_the_fourier_terms_are_prophets_to_the_last_bit() -> None:
    time = NOW + np.random.default_rng(0).integers(-900 * DAY, 900 * DAY, 2000)
    dates = pd.Series(time.astype("datetime64[ns]"))
    x = BASIS.evaluate(time)
    for seasonality in BASIS.seasonalities:
        expected = Prophet.fourier_series(dates, seasonality.period_days, seasonality.order)
        np.testing.assert_array_equal(x[:, BASIS.columns(seasonality.name)], expected)


def test_the_first_columns_are_a_constant_and_days() -> None:
    time = BASIS.reference_unix_nano + np.array([0, DAY, -DAY // 2])
    np.testing.assert_array_equal(BASIS.evaluate(time)[:, :2], [[1.0, 0.0], [1.0, 1.0], [1.0, -0.5]])


def test_every_column_belongs_to_one_term() -> None:
    covered = [0, 1]
    for seasonality in BASIS.seasonalities:
        columns = BASIS.columns(seasonality.name)
        covered += range(columns.start, columns.stop)
    assert covered == list(range(BASIS.size))
    assert BASIS.evaluate(np.array([NOW])).shape == (1, BASIS.size)
