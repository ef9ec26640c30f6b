"""Models of a batch as columns: what each alone says of itself."""

import numpy as np
import pytest

from collector_processor.forecast.columns import columns_of
from collector_processor.forecast.design import Growth
from collector_processor.forecast.regressors import build_regressors
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.forecast.solve import solve
from tests.forecast.corpus import WEEK


@pytest.mark.parametrize("growth", ["linear", "flat"])
def test_columns_of_a_batch_are_those_of_its_models(growth: Growth) -> None:
    random = np.random.default_rng(1)
    y = 50.0 + 10.0 * random.normal(size=(6, WEEK.size)).cumsum(axis=1) ** 2
    y[1, :1500] = np.nan  # younger than two days: no daily season
    y[2, 5:-5] = np.nan  # fewer changepoints
    y[3] = np.nan
    batch = solve(y, build_regressors(WEEK, ProphetSettings(growth=growth)))
    groups = batch.columns()
    assert sorted(np.concatenate([which for which, _ in groups])) == [0, 1, 2, 4, 5]
    assert len(groups) == 3 if growth == "linear" else 2
    for which, found in groups:
        models = [model for i in which.tolist() if (model := batch.fitted(i)) is not None]
        expected = columns_of(models)
        assert (found.design, found.beta) == (expected.design, expected.beta)
        assert found.numbers.keys() == expected.numbers.keys()
        for name, column in expected.numbers.items():
            np.testing.assert_allclose(found.numbers[name], column, rtol=1e-12, atol=1e-300, err_msg=name)
        np.testing.assert_allclose(found.theta(), [model.theta() for model in models], rtol=1e-12)
