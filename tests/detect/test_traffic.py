import numpy as np

from collector_processor.clock import DAY, MINUTE
from collector_processor.detect.traffic import Traffic
from collector_processor.telemetry.points import Float64, PointBatch

START = 19_000 * DAY
RATE, RATIO = 0, 1
COMPANION = np.array([-1, RATE], np.int32)


def batch(*rows: tuple[int, float, float]) -> PointBatch:
    """(series, minute, value)"""
    series, minutes, values = zip(*rows, strict=True)
    time = START + (np.array(minutes) * MINUTE).astype(np.int64)
    return PointBatch(np.array(series, np.int32), time, np.array(values, np.float64))


def following() -> Traffic:
    traffic = Traffic()
    traffic.grow(2)
    traffic.count(np.array([RATE], np.int32))
    return traffic


def requests(traffic: Traffic, *rows: tuple[int, float, float]) -> Float64:
    points = batch(*rows)
    return traffic.requests(points, COMPANION[points.series])


FADED = np.exp(-1 / 5)  # in a minute
SECOND = 30.0 + 120.0 * FADED


def test_a_ratio_is_made_of_the_requests_since_the_point_before_and_fading_ones_before() -> None:
    found = requests(following(), (RATE, 0, 1.0), (RATE, 1, 2.0), (RATIO, 1, 0.5), (RATE, 2, 0.5), (RATIO, 2, 0.1))
    np.testing.assert_allclose(found, [np.nan, np.nan, 120.0, np.nan, SECOND])


def test_the_batches_that_points_come_in_do_not_matter() -> None:
    traffic = following()
    requests(traffic, (RATE, 0, 1.0), (RATE, 1, 2.0))
    np.testing.assert_allclose(requests(traffic, (RATE, 2, 0.5), (RATIO, 2, 0.1)), [np.nan, SECOND])


def test_short_windows_of_a_busy_service_add_up_and_an_idle_hour_is_forgotten() -> None:
    traffic, third = following(), 1 / 3
    requests(traffic, *((RATE, i * third, 0.2) for i in range(46)))
    assert 55.0 < requests(traffic, (RATE, 46 * third, 0.2), (RATIO, 46 * third, 0.5))[1] < 65.0
    assert requests(traffic, (RATE, 80, 0.0), (RATIO, 80, 0.5))[1] < 0.01


def test_the_order_within_a_batch_does_not_matter() -> None:
    found = requests(following(), (RATIO, 2, 0.1), (RATE, 2, 0.5), (RATE, 0, 1.0), (RATIO, 1, 0.5), (RATE, 1, 2.0))
    np.testing.assert_allclose(found[[0, 3]], [SECOND, 120.0])


def test_a_ratio_that_comes_in_a_later_batch_still_finds_its_rate() -> None:
    traffic = following()
    requests(traffic, (RATE, 0, 1.0), (RATE, 1, 2.0))
    assert requests(traffic, (RATIO, 1, 0.5)).tolist() == [120.0]


def test_nobody_knows_of_a_first_point_or_of_another_time() -> None:
    traffic = following()
    assert np.isnan(requests(traffic, (RATE, 0, 1.0), (RATIO, 0, 0.5))).all()
    assert np.isnan(requests(traffic, (RATE, 1, 1.0), (RATIO, 1.5, 0.5))).all()


def test_after_a_silence_a_point_counts_for_twice_the_usual_time_at_most() -> None:
    traffic = following()
    requests(traffic, (RATE, 0, 1.0), (RATE, 1, 1.0))
    np.testing.assert_allclose(requests(traffic, (RATE, 600, 1.0), (RATIO, 600, 0.5))[1], 120.0)
