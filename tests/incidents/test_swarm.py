from collector_processor.clock import MINUTE
from collector_processor.incidents.swarm import Swarms
from collector_processor.telemetry.incident import Member
from collector_processor.telemetry.series import Kind, Scope, SeriesKey, Statistic
from collector_processor.telemetry.strain import Strain

START = 19_000 * 86_400 * 10**9


def strains(*numbers: int, at: int = 0, is_strained: bool = True) -> list[Strain]:
    return [
        Strain(n, _key(n), START + at * MINUTE, 0.6 if is_strained else 0.0, is_strained=is_strained) for n in numbers
    ]


def _key(number: int) -> SeriesKey:
    resource = (("host.name", "node-7"),)
    return SeriesKey(resource, Scope(), f"m{number}", "1", Kind.GAUGE, Statistic.VALUE, ())


def take(swarms: Swarms, changes: list[Strain], size: int = 8) -> list[Member]:
    groups = swarms.take(changes, lambda _: size)
    return [member for group in groups for member in group]


def test_three_of_a_few_series_are_a_swarm_of_their_host() -> None:
    swarms = Swarms()
    assert take(swarms, strains(1, 2)) == []
    assert {member.metric for member in take(swarms, strains(3, at=1))} == {"m1", "m2", "m3"}
    (joined,) = [m for m in take(swarms, strains(4, at=2)) if m.metric == "m4"]
    assert (joined.entity, joined.start_unix_nano) == ("node-7", START + 2 * MINUTE)


def test_of_many_series_a_quarter_has_to_be_strained() -> None:
    swarms = Swarms()
    assert take(swarms, strains(*range(24)), size=100) == []
    assert len(take(swarms, strains(24), size=100)) == 25


def test_who_was_strained_and_came_back_does_not_count() -> None:
    swarms = Swarms()
    assert take(swarms, [*strains(1, 2), *strains(1, at=1, is_strained=False), *strains(3, at=1)]) == []


def test_it_is_over_when_less_than_half_are_left() -> None:
    swarms = Swarms()
    take(swarms, strains(1, 2, 3, 4))
    still = take(swarms, strains(1, 2, at=5, is_strained=False))
    assert {m.metric: m.end_unix_nano is None for m in still} == {"m1": False, "m2": False, "m3": True, "m4": True}
    over = take(swarms, strains(3, at=9, is_strained=False))
    assert {m.metric: m.end_unix_nano for m in over} == {"m3": START + 9 * MINUTE, "m4": START + 9 * MINUTE}
    assert take(swarms, strains(4, at=10, is_strained=False)) == []


def test_the_same_strain_has_the_same_id() -> None:
    ids = [{member.episode_id for member in take(Swarms(), strains(1, 2, 3))} for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 3
