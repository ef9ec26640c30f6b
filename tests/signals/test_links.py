from collector_processor.clock import MINUTE
from collector_processor.signals.links import ArrivedLink, LinkQuota
from collector_processor.telemetry.exemplar import TraceLink


def arrived(minutes: float, series: int = 0) -> ArrivedLink:
    link = TraceLink(series, 10**18 + int(minutes * MINUTE), 1.0, bytes(range(16)), b"")
    return ArrivedLink(link, [series, series + 1])


def kept(quota: LinkQuota, *minutes: float, unusual: bool = False) -> list[float]:
    found = quota.choose([arrived(m) for m in minutes], {1} if unusual else set())
    return [(link.time_unix_nano - 10**18) / MINUTE for link in found]


def test_a_series_keeps_a_few_links_an_hour() -> None:
    assert kept(LinkQuota(), *range(60)) == [0, 15, 30, 45]


def test_more_are_kept_while_any_series_of_the_data_point_is_unusual() -> None:
    quota = LinkQuota()
    assert kept(quota, 0, 1) == [0]
    assert kept(quota, *range(2, 16), unusual=True) == [5, 10, 15]


def test_series_do_not_share_their_quota() -> None:
    assert len(LinkQuota().choose([arrived(0, 0), arrived(0, 4)], set())) == 2


def test_old_links_are_kept_as_well() -> None:
    assert kept(LinkQuota(), 600, 0, 15, 16) == [600, 0, 15]
