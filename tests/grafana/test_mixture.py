"""Quantiles of a whole from those of its parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.telemetry.points import Float64
from grafana_datasource.mixture import LEVELS, mixed_quantiles


def mixed(weight: list[float], known: list[list[float]]) -> Float64:
    group = np.zeros(len(weight), np.int64)
    return np.asarray(mixed_quantiles(1, group, np.array(weight), np.array(known))[0])


@st.composite
def parts(draw: st.DrawFn) -> tuple[list[float], list[list[float]]]:
    durations = st.floats(1e-6, 1e4)
    known = draw(st.lists(st.lists(durations, min_size=3, max_size=3).map(sorted), min_size=1, max_size=6))
    weight = draw(st.lists(st.floats(0.01, 1e6), min_size=len(known), max_size=len(known)))
    return weight, known


@given(parts())
def test_a_whole_lies_between_its_parts_and_grows_with_the_level(given: tuple[list[float], list[list[float]]]) -> None:
    weight, known = given
    found = mixed(weight, known)
    assert np.all(found >= np.min(known, axis=0) * (1 - 1e-6))
    assert np.all(found <= np.max(known, axis=0) * (1 + 1e-6))
    assert np.all(np.diff(found) >= -1e-6 * found[1:])


def test_one_part_or_several_alike_are_the_whole() -> None:
    known = [0.02, 0.3, 1.0]
    assert mixed([3.0], [known]) == pytest.approx(known)
    assert mixed([3.0, 0.1], [known, known]) == pytest.approx(known)
    assert mixed([3.0], [[0.5, 0.5, 0.5]]) == pytest.approx([0.5] * 3)


def test_a_rare_slow_operation_leaves_the_median_and_is_the_slowest_percent() -> None:
    random = np.random.default_rng(3)
    drawn = [random.lognormal(np.log(0.01), 0.5, 98_000), random.lognormal(np.log(2.0), 0.5, 2_000)]
    known = [np.quantile(part, LEVELS).tolist() for part in drawn]
    weight = [float(part.size) for part in drawn]
    truth = np.quantile(np.concatenate(drawn), LEVELS)
    assert mixed(weight, known) == pytest.approx(truth, rel=0.1)
    assert np.average(np.array(known)[:, 1], weights=weight) > 4 * truth[1], "what a mean would say"


@pytest.mark.parametrize("spread", [0.2, 0.8, 1.5])
def test_the_estimate_is_near_the_truth_for_usual_durations(spread: float) -> None:
    random = np.random.default_rng(5)
    drawn = [random.lognormal(np.log(centre), spread, 20_000) for centre in (0.01, 0.03, 0.2)]
    drawn.append(random.exponential(0.1, 40_000))
    known = [np.quantile(part, LEVELS).tolist() for part in drawn]
    truth = np.quantile(np.concatenate(drawn), LEVELS)
    assert mixed([float(part.size) for part in drawn], known) == pytest.approx(truth, rel=0.2)


def test_groups_are_told_apart_and_what_is_unknown_is_not_made_up() -> None:
    group, weight = np.array([0, 2, 2, 3]), np.array([1.0, 1.0, np.nan, 0.0])
    known = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0], [1.0, 1.0, 1.0]])
    found = mixed_quantiles(5, group, weight, known)
    assert found[0] == pytest.approx(known[0])
    assert found[2] == pytest.approx(known[1])
    assert np.isnan(found[[1, 4]]).all()
    assert found[3] == pytest.approx(known[3]), "nobody calls it now: its last durations"


def test_a_quantile_that_no_part_says_is_none_of_the_whole() -> None:
    assert mixed([1.0], [[np.nan, 2.0, np.nan]]) == pytest.approx([np.nan, 2.0, np.nan], nan_ok=True)
    assert mixed([1.0, 1.0], [[np.nan, 2.0, 3.0], [1.0, 2.0, np.nan]])[1] == pytest.approx(2.0)
