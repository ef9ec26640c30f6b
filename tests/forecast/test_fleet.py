from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.forecast.design import DEFAULT_DESIGN, Design, Occasion, Seasonality
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.fleet import FleetModel
from collector_processor.forecast.packed import pack, unpack, unpacked
from collector_processor.forecast.page import PAGE
from collector_processor.forecast.seasonal import SLOTS, FittedSeasonal
from collector_processor.telemetry.band import FORECASTS, LEVEL
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Int32
from tests.forecast.fleets import designs_of, forecasts_of
from tests.forecast.shapes import NOW


def prophet(seed: int = 0, offset: float = 0.0, span: int = 7 * DAY) -> FittedProphet:
    rng = np.random.default_rng(seed)
    return FittedProphet(
        start_unix_nano=NOW - span,
        span_nano=span,
        k=0.3,
        m=0.1,
        delta=rng.normal(0, 0.1, 25),
        changepoint=np.linspace(0.03, 0.8, 25),
        beta={"daily": rng.normal(0, 0.2, 8), "weekly": rng.normal(0, 0.1, 6)},
        y_scale=3.0,
        y_offset=offset,
        sigma_obs=0.05,
    )


BERLIN = Design(
    (Seasonality("daily", 1, 4), Seasonality("weekly", 7, 3), Seasonality("of a shift", 1 / 3, 2)),
    (Occasion("release", (NOW // DAY, NOW // DAY + 3)),),
    "Europe/Berlin",
)
GROWING = replace(DEFAULT_DESIGN, growth="logistic", cap=9.0, mode="multiplicative")


def special(seed: int, design: Design) -> FittedProphet:
    more = {"release": np.array([5.0])} if design.occasions else {}
    plain = prophet(seed)
    return replace(plain, design=design, beta=plain.beta | more, delta=np.abs(plain.delta))


def special_record(series: int, version: int, seed: int, design: Design) -> ModelRecord:
    return replace(record(series, version), parameters=pack(special(seed, design), medians(seed), 1.5))


def seasonal(seed: int = 0, offset: float = 0.0) -> FittedSeasonal:
    return FittedSeasonal(offset + np.random.default_rng(seed).normal(size=SLOTS))


def medians(seed: int = 0, offset: float = 0.0) -> tuple[FittedSeasonal, FittedSeasonal]:
    return seasonal(seed, offset), seasonal(seed + 100, offset)


def record(series: int, version: int, *, seed: int = 0, offset: float = 0.0, winner: str = "prophet") -> ModelRecord:
    parameters = pack(prophet(seed, offset), medians(seed, offset), 1.5)
    return ModelRecord(series, version, NOW, NOW - 7 * DAY, NOW, winner, "a reason", parameters)


def ids(*series: int) -> Int32:
    return np.array(series, np.int32)


def test_every_series_gets_its_own_forecasts() -> None:
    fleet = FleetModel.from_records([record(0, 1, seed=4), record(2, 2, seed=5)])
    times = NOW + np.array([HOUR, 2 * HOUR, HOUR])
    found = fleet.forecasts(ids(2, 0, 0), times)
    for row, seed in enumerate([5, 4, 4]):
        np.testing.assert_allclose(found[row, 0], prophet(seed).predict(times[row : row + 1])[0], rtol=1e-9)
        np.testing.assert_allclose(found[row, 1], seasonal(seed).predict(times[row : row + 1])[0], atol=2e-4)
        np.testing.assert_allclose(found[row, 2], seasonal(seed + 100).predict(times[row : row + 1])[0], atol=2e-4)
    assert FORECASTS == ("prophet", "seasonal", "recent", "level")
    assert np.isnan(found[:, 3]).all()


def test_series_of_different_designs_are_judged_together() -> None:
    records = [record(0, 1), special_record(1, 2, 5, BERLIN), special_record(2, 3, 6, GROWING), record(5, 4, seed=2)]
    fleet = FleetModel.from_records([*records, special_record(4, 5, 7, BERLIN)])
    fitted = {0: prophet(), 1: special(5, BERLIN), 2: special(6, GROWING), 4: special(7, BERLIN), 5: prophet(2)}
    assert len(designs_of(fleet)) == 3
    series = ids(4, 2, 1, 0, 1, 5, 4, 3)
    times = NOW + HOUR * np.array([0, 1, 2, 3, 70, 70, 71, 0])
    found = fleet.forecasts(series, times)[:, 0]
    expected = [fitted[s].predict(times[i : i + 1])[0] for i, s in enumerate(series[:-1].tolist())]
    np.testing.assert_allclose(found[:-1], expected, rtol=1e-9)
    assert np.isnan(found[-1])


def test_the_median_of_the_day_follows_the_clocks_of_its_series() -> None:
    at_home, away = FittedSeasonal(np.arange(96.0)), FittedSeasonal(np.arange(96.0), "Asia/Tokyo")
    records = []
    for series, fitted in enumerate([at_home, away, at_home]):
        parameters = pack(None, (fitted, fitted), 1.0)
        records.append(replace(record(series, series + 1, winner="seasonal"), parameters=parameters))
    fleet = FleetModel.from_records(records[:1]).with_models(records[1:])
    times = NOW + HOUR * np.array([0, 0, 3, 5])
    found = fleet.forecasts(ids(0, 1, 1, 2), times)[:, 1]
    expected = [f.predict(times[i : i + 1])[0] for i, f in enumerate([at_home, away, away, at_home])]
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert found[0] != found[1]


def test_a_series_changes_its_design_with_a_refit_and_a_design_that_nobody_has_is_gone() -> None:
    old = FleetModel.from_records([record(0, 1), special_record(1, 2, 5, BERLIN), special_record(2, 3, 6, BERLIN)])
    new = old.with_models([record(1, 4, seed=9), record(2, 5, seed=8)])
    assert designs_of(new) == {DEFAULT_DESIGN}
    times = np.array([NOW, NOW + HOUR])
    np.testing.assert_allclose(forecasts_of(new, 1, times)[:, 0], prophet(9).predict(times), rtol=1e-9)
    np.testing.assert_allclose(forecasts_of(old, 1, times)[:, 0], special(5, BERLIN).predict(times), rtol=1e-9)
    back = new.with_models([special_record(0, 6, 4, GROWING)])
    np.testing.assert_allclose(forecasts_of(back, 0, times)[:, 0], special(4, GROWING).predict(times), rtol=1e-9)
    np.testing.assert_array_equal(forecasts_of(back, 2, times), forecasts_of(new, 2, times))


def test_one_series_over_a_horizon_equals_its_forecasts_one_by_one() -> None:
    fleet = FleetModel.from_records([record(0, 1), record(1, 2, seed=3)])
    times = NOW + MINUTE * np.arange(500)
    one_by_one = [fleet.forecasts(ids(1), times[i : i + 1])[0] for i in range(500)]
    np.testing.assert_allclose(forecasts_of(fleet, 1, times), one_by_one, rtol=1e-12)


@pytest.mark.parametrize("series", [-1, 1, 3, 2_000_000])
def test_series_without_a_model_have_no_forecast(series: int) -> None:
    fleet = FleetModel.from_records([record(0, 1), record(2, 2)])
    found = fleet.forecasts(ids(0, series), np.full(2, NOW + HOUR))
    assert np.isfinite(found[0, :LEVEL]).all()
    assert np.isnan(found[1]).all()


def test_an_empty_fleet_answers_too() -> None:
    assert np.isnan(FleetModel.empty().forecasts(ids(0, 7), np.full(2, NOW))).all()
    assert FleetModel.empty().forecasts(ids(), np.empty(0, np.int64)).shape == (0, len(FORECASTS))


def test_prophet_is_silent_before_its_last_changepoint_and_beyond_one_window() -> None:
    fleet = FleetModel.from_records([record(0, 1)])
    first = prophet().last_changepoint_unix_nano
    times = np.array([first - 1, first, NOW, NOW + 7 * DAY, NOW + 7 * DAY + 1])
    found = forecasts_of(fleet, 0, times)
    assert np.isfinite(found[:, 0]).tolist() == [False, True, True, True, False]
    assert np.isfinite(found[:, 1]).all()


def test_publishing_leaves_the_old_model_as_it_was() -> None:
    old = FleetModel.from_records([record(0, 1), record(1, 2)])
    before = old.forecasts(ids(0, 1), np.full(2, NOW))
    new = old.with_models([record(1, 3, seed=9), record(5, 4)])
    np.testing.assert_array_equal(old.forecasts(ids(0, 1), np.full(2, NOW)), before)
    after = new.forecasts(ids(0, 1, 5), np.full(3, NOW))
    np.testing.assert_array_equal(after[0], before[0])
    assert not np.isclose(after[1], before[1]).any()
    assert np.isfinite(after[2, :LEVEL]).all()
    assert (len(old), len(new), old.version, new.version) == (2, 6, 2, 4)
    assert new.versions(np.arange(6, dtype=np.int32)).tolist() == [1, 3, 0, 0, 0, 4]


def test_the_columns_of_a_record_are_kept() -> None:
    fleet = FleetModel.from_records([record(1, 8, winner="seasonal")])
    trend = prophet().trend_parameters
    expected = {
        "winner": FORECASTS.index("seasonal"),
        "std": 1.5,
        "sigma": trend.sigma,
        "changepoint_rate": trend.changepoint_rate,
        "mean_delta": trend.mean_delta,
        "created_unix_nano": NOW,
        "trained_start_unix_nano": NOW - 7 * DAY,
        "trained_end_unix_nano": NOW,
    }
    assert {name: fleet.fact(name, ids(1))[0] for name in expected} == expected
    assert np.isnan(fleet.fact("std", ids(0, -1, 2, 5000))).all()


def test_winner_and_version_of_any_id_can_be_asked_for() -> None:
    fleet = FleetModel.from_records([record(1, 8, winner="prophet"), record(2, 9, winner="seasonal")])
    asked = ids(-1, 0, 1, 2, 99)
    assert [FORECASTS[winner] for winner in fleet.winners(asked)] == [
        "seasonal",
        "seasonal",
        "prophet",
        "seasonal",
        "seasonal",
    ]
    assert fleet.versions(asked).tolist() == [0, 0, 8, 9, 0]
    assert FleetModel.empty().versions(asked).tolist() == [0] * 5


def test_a_model_without_prophet_forecasts_the_season_alone() -> None:
    parameters = pack(None, medians(), 1.0)
    fleet = FleetModel.from_records([record(0, 1)]).with_models(
        [ModelRecord(0, 2, NOW, NOW - HOUR, NOW, "seasonal", "too short", parameters)]
    )
    found = forecasts_of(fleet, 0, np.array([NOW]))
    assert np.isnan(found[0, 0])
    assert np.isfinite(found[0, 1])
    assert np.isnan(fleet.fact("sigma", ids(0))[0])


def test_large_offsets_keep_their_digits() -> None:
    fleet = FleetModel.from_records([record(0, 1, offset=1e12)])
    found = forecasts_of(fleet, 0, np.array([NOW]))[0]
    expected = [fitted.predict(np.array([NOW]))[0] for fitted in (prophet(), seasonal(), seasonal(100))]
    np.testing.assert_allclose(found[:LEVEL] - 1e12, expected, atol=1e-3)


DAMAGED = {
    "empty": b"",
    "of an older version": b'{"prophet": null, "seasonal": null, "std": 1}',
    "cut off": record(0, 2).parameters[:-1],
    "cut off in its header": record(0, 2).parameters[:20],
    "too long": record(0, 2).parameters + b"x",
    "not finite": pack(replace(prophet(), k=np.nan), medians(), 1.5),
    "without a span": pack(prophet(), medians(), 1.5).replace((7 * DAY).to_bytes(8, "little"), bytes(8)),
    "with a header that is no JSON": record(0, 2).parameters.replace(b'"beta"', b'"beta}'),
    "with a part that is in no design": record(0, 2).parameters.replace(b'"weekly"', b'"weakly"'),
}


@pytest.mark.parametrize("parameters", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_record_is_counted_and_changes_nothing(parameters: bytes) -> None:
    good = FleetModel.from_records([record(0, 1)])
    fleet = good.with_models([replace(record(0, 2), parameters=parameters), record(1, 3)])
    assert fleet.unreadable == 1
    assert fleet.versions(ids(0, 1)).tolist() == [1, 3]
    times = np.array([NOW])
    np.testing.assert_array_equal(forecasts_of(fleet, 0, times), forecasts_of(good, 0, times))


def test_a_series_forecasts_the_same_alone_and_among_all() -> None:
    records = [record(series, series + 1, seed=series % 7) for series in range(0, 2 * PAGE + 300, 3)]
    records += [special_record(series, 9_000 + series, series % 5, BERLIN) for series in range(1, PAGE, 6)]
    fleet = FleetModel.from_records(records)
    series = np.arange(2 * PAGE + 300, dtype=np.int32)
    together = fleet.forecasts(series, np.full(series.size, NOW + HOUR))
    shuffled = np.random.default_rng(3).permutation(series)
    np.testing.assert_array_equal(fleet.forecasts(shuffled, np.full(series.size, NOW + HOUR)), together[shuffled])
    for one in (0, 1, 2, 3, 7, PAGE - 1, PAGE, PAGE + 1, series[-1]):
        np.testing.assert_array_equal(fleet.forecasts(ids(one), np.array([NOW + HOUR]))[0], together[one])


PLACES = st.sampled_from([0, 1, 2, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE])
KINDS = st.sampled_from(["default", "berlin", "growing", "season", "unreadable"])


def made(series: int, version: int, kind: str) -> ModelRecord:
    if kind == "unreadable":
        return replace(record(series, version), parameters=b"")
    if kind == "season":
        return replace(record(series, version), parameters=pack(None, medians(version), 1.0))
    if kind == "default":
        return record(series, version, seed=version)
    return special_record(series, version, version, {"berlin": BERLIN, "growing": GROWING}[kind])


@given(st.lists(st.lists(st.tuples(PLACES, KINDS), max_size=5), max_size=6))
def test_any_sequence_of_refits_comes_to_the_last_readable_record_of_each_series(
    refits: list[list[tuple[int, str]]],
) -> None:
    fleet, last, version = FleetModel.empty(), dict[int, ModelRecord](), 0
    for chunk in refits:
        records = {series: made(series, version := version + 1, kind) for series, kind in chunk}
        last |= {series: one for series, one in records.items() if one.parameters}
        fleet = fleet.with_models(list(records.values()))
    expected = FleetModel.from_records(list(last.values()))
    series = ids(0, 1, 2, 3, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 3 * PAGE, -1)
    for times in (np.full(series.size, NOW), NOW + HOUR * np.arange(series.size)):
        np.testing.assert_array_equal(fleet.forecasts(series, times), expected.forecasts(series, times))
    for name in ("version", "winner", "std", "sigma", "valid_until_unix_nano"):
        np.testing.assert_array_equal(fleet.fact(name, series), expected.fact(name, series))
    assert designs_of(fleet) == designs_of(expected)


def test_a_refit_copies_the_pages_it_touches_and_shares_the_others() -> None:
    old = FleetModel.from_records([record(0, 1), record(PAGE, 2)])
    new = old.with_models([record(PAGE + 5, 3)])
    assert new.pages[0] is old.pages[0]
    assert new.pages[1] is not old.pages[1]


@given(seed=st.integers(0, 99), kind=KINDS.filter(lambda kind: kind != "unreadable"), std=st.floats(0, 1e300))
def test_a_packed_model_is_read_as_it_was(seed: int, kind: str, std: float) -> None:
    fitted = {"default": prophet(seed), "berlin": special(seed, BERLIN), "growing": special(seed, GROWING)}.get(kind)
    found, days, found_std = unpack(pack(fitted, medians(seed, 1e9), std))
    assert (found is None, found_std) == (fitted is None, std)
    if fitted is not None and found is not None:
        assert found.parameters() == fitted.parameters()
        [(layout, _, rows)] = unpacked([pack(fitted, medians(), 0.0)])
        np.testing.assert_array_equal(layout.theta(rows)[0], fitted.theta())
    for day, expected in zip(days, medians(seed), strict=True):
        np.testing.assert_allclose(day.profile - 1e9, expected.profile, atol=2e-4)


@pytest.mark.parametrize(("low", "high"), [(1e16, 1e16 + 2.0), (-1.5e308, 1.5e308), (0.0, 5e-324), (7.0, 7.0)])
def test_the_days_of_extreme_values_stay_between_them(low: float, high: float) -> None:
    day = FittedSeasonal(np.where(np.arange(SLOTS) % 2, low, high))
    _, (found, _), _ = unpack(pack(None, (day, day), 1.0))
    np.testing.assert_allclose(found.profile, day.profile, rtol=1e-4, atol=1e-300)
