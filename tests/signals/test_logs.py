import pytest

from collector_processor.signals.logs import RECORDS
from collector_processor.telemetry.series import Statistic
from tests.signals.room import SECOND, START, Room, at, logs, spans


def rates(room: Room) -> dict[tuple[str, str, float], float]:
    return {
        (room.keys[s].service, str(dict(room.keys[s].attributes)["severity"]), (t - START) / SECOND): v
        for (s, t), v in room.stored.items()
        if room.keys[s].metric == RECORDS
    }


@pytest.mark.parametrize(
    ("number", "severity"),
    [
        *((0, "UNSPECIFIED"), (1, "TRACE"), (4, "TRACE"), (5, "DEBUG"), (8, "DEBUG"), (9, "INFO"), (12, "INFO")),
        *((13, "WARN"), (16, "WARN"), (17, "ERROR"), (20, "ERROR"), (21, "FATAL"), (24, "FATAL")),
        *((25, "UNSPECIFIED"), (127, "UNSPECIFIED"), (-1, "UNSPECIFIED")),
    ],
)
def test_severity_numbers_fall_into_ranges(number: int, severity: str) -> None:
    room = Room()
    room.take_logs(logs([("shop", number, 10)]), now=10)
    (key,) = room.keys
    assert (key.metric, key.unit, key.statistic) == (RECORDS, "{record}/s", Statistic.RATE)
    assert key.attributes == (("severity", severity),)


def test_a_silent_severity_has_rate_zero_for_good_while_its_service_logs() -> None:
    room = Room()
    room.take_logs(logs([("shop", 17, 10), ("shop", 9, 10), ("shop", 9, 20)]), now=20)
    room.take_logs(logs([("shop", 9, 7200)]), now=7200)
    room.flush(now=7300)
    assert rates(room) == {
        ("shop", "ERROR", 60): 1 / 60,
        ("shop", "INFO", 60): 2 / 60,
        ("shop", "ERROR", 7260): 0.0,
        ("shop", "INFO", 7260): 1 / 60,
    }


def test_a_severity_has_no_zeros_before_its_first_record() -> None:
    room = Room()
    room.take_logs(logs([("shop", 9, 10), ("shop", 9, 90), ("shop", 17, 95)]), now=95)
    room.flush(now=300)
    assert ("shop", "ERROR", 60) not in rates(room)
    assert rates(room)["shop", "ERROR", 120] == 1 / 60


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (-at(0) / 1e9, "time_missing"),
        (-at(0) / 1e9 - 1, "time_out_of_range"),
        (1000, "time_in_future"),
        (-15 * 86400, "too_old"),
    ],
)
def test_a_record_without_a_sensible_time_is_rejected_alone(time: float, reason: str) -> None:
    room = Room()
    settlement = room.take_logs(logs([("shop", 9, time), ("shop", 17, 10)]), now=100).settlements[0]
    assert (settlement.stored, settlement.rejected) == (1, {reason: 1})
    assert len(room.keys) == 1


def test_a_record_of_a_closed_window_is_late() -> None:
    room = Room()
    room.take_logs(logs([("shop", 9, 10), ("shop", 9, 80)]), now=80)
    assert room.take_logs(logs([("shop", 9, 59)]), now=81).settlements[0].rejected == {"late": 1}


def test_the_series_limit_turns_new_streams_away() -> None:
    room = Room(series_limit=1)
    batch = logs([("shop", 9, 10), ("shop", 17, 10), ("cart", 9, 10)])
    for _ in range(2):
        settlement = room.take_logs(batch, now=10).settlements[0]
        assert sum(settlement.rejected.values()) == settlement.rejected["series_limit"] == 2
        assert settlement.stored == 1


@pytest.mark.parametrize("restart", [None, 0, 1, 2])
def test_spans_and_logs_share_the_kept_events_and_each_takes_its_own(restart: int | None) -> None:
    room = Room()
    for i in range(3):
        room.take_logs(logs([("shop", 9, 10 + 30 * i), ("shop", 17, 1 + i)]), now=10 + 30 * i)
        room.take_spans(spans([("shop", "get", 10 + 30 * i, 0.1, False)]), now=10 + 30 * i)
        if i == restart:
            room.restart()
    room.flush(now=300)
    room.flush(now=320)
    assert rates(room) == {
        ("shop", "INFO", 60): 2 / 60,
        ("shop", "INFO", 120): 1 / 60,
        ("shop", "ERROR", 60): 3 / 60,
        ("shop", "ERROR", 120): 0.0,
    }
    assert room.read(Statistic.RATE, "traces.span.calls") == {60: 2 / 60, 120: 1 / 60}
