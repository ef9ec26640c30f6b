from collector_processor.telemetry.series import Statistic
from tests.signals.room import Room, summary


def test_a_summary_gives_rate_mean_and_its_own_quantiles() -> None:
    room = Room()
    room.take_metrics(summary(0, 10, 20, 10.0, {0.5: 0.4, 0.99: 2.0}), now=100)
    room.take_metrics(summary(0, 20, 40, 30.0, {0.5: 0.5, 0.99: 3.0}), now=100)
    assert room.read(Statistic.RATE) == {20: 2.0}
    assert room.read(Statistic.MEAN) == {20: 1.0}
    assert room.read(Statistic.VALUE, quantile=0.5) == {10: 0.4, 20: 0.5}
    assert room.read(Statistic.VALUE, quantile=0.99) == {10: 2.0, 20: 3.0}
    assert room.read(Statistic.COUNT) == {10: 20.0, 20: 40.0}


def test_a_resent_summary_changes_nothing() -> None:
    room = Room()
    arrivals = summary(0, 10, 20, 10.0, {0.5: 0.4})
    room.take_metrics(arrivals, now=100)
    stored = dict(room.stored)
    assert room.take_metrics(arrivals, now=100).settlements[0].duplicates == 1
    assert room.stored == stored


def test_a_summary_goes_on_after_a_restart() -> None:
    room = Room()
    room.take_metrics(summary(0, 10, 20, 10.0, {0.5: 0.4}), now=100)
    room.restart()
    room.take_metrics(summary(0, 20, 40, 30.0, {0.5: 0.5}), now=100)
    assert room.read(Statistic.RATE) == {20: 2.0}
    assert room.read(Statistic.MEAN) == {20: 1.0}


def test_quantiles_past_the_series_limit_are_left_out_and_the_rest_is_taken() -> None:
    room = Room(series_limit=4)
    consumed = room.take_metrics(summary(0, 10, 20, 10.0, {0.5: 0.4}), now=100)
    assert consumed.settlements[0].stored == 1
    assert len(room.keys) == 4
