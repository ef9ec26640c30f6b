"""How a series is called in a list of its service's."""

from collector_processor.telemetry.series import Attributes, Kind, Scope, SeriesKey, Statistic
from collector_processor.telemetry.titles import local_title


def _named(*attributes: tuple[str, str], kind: Kind = Kind.GAUGE, metric: str = "queue.length") -> str:
    held: Attributes = tuple(sorted(attributes))
    statistic = Statistic.P95 if kind is Kind.SPAN else Statistic.VALUE
    return local_title(SeriesKey((), Scope(), metric, "", kind, statistic, held))


def test_a_metric_is_told_apart_by_its_attributes() -> None:
    assert _named() == "queue.length"
    assert _named(("lane", "slow"), ("zone", "a")) == "queue.length (lane=slow, zone=a)"


def test_a_span_says_its_name_and_what_is_measured_and_no_more() -> None:
    found = _named(("span.name", "GET /"), ("span.kind", "server"), kind=Kind.SPAN, metric="traces.span.duration")
    assert found == "GET / p95 duration"


def test_attributes_that_fill_more_than_a_line_are_cut_between_words() -> None:
    found = _named(*((f"attribute.{i}", "some") for i in range(9)))
    assert found.startswith("queue.length (attribute.0=some, attribute.1=some,")
    assert found.endswith(" …)")
    assert len(found) <= 100
