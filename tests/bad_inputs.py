"""Everything a sender can get wrong in the content of a request, and what must come of it.

Requests are built with the stock classes, or as bytes where these would not write them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from collector_processor.clock import DAY
from collector_processor.ledger import Signal
from collector_processor.signals.span_names import template
from tests.house import SECOND, Moment, Points, same
from tests.otlp.stock import Metric, attribute

NAN, INF = math.nan, math.inf
SPANS, OTHER = "traces.span.calls/rate/server/", "traces.span.calls/rate/True/other"


@dataclass(frozen=True)
class Row:
    """`send` builds the requests; the rest is what must come of them, all answers taken together.

    `stored` are all points of the service of this row, or a function that asserts what they must be like.
    """

    send: Callable[[Moment], Sequence[Any]]
    rejected: dict[str, int] = field(default_factory=dict)
    stored: Mapping[str, Sequence[tuple[float, float]]] | Callable[[Points], None] = field(default_factory=dict)
    code: grpc.StatusCode | None = None
    says: str = ""
    signal: Signal = Signal.METRICS


def malformed(send: Callable[[Moment], Sequence[Any]], says: str, signal: Signal = Signal.METRICS) -> Row:
    return Row(send, code=grpc.StatusCode.INVALID_ARGUMENT, says=says, signal=signal)


def spans(send: Callable[[Moment], Sequence[Any]], **rest: Any) -> Row:
    return Row(send, signal=Signal.TRACES, **rest)


def logs(send: Callable[[Moment], Sequence[Any]], **rest: Any) -> Row:
    return Row(send, signal=Signal.LOGS, **rest)


def points(name: str, *pairs: tuple[float, float]) -> Points:
    return {name: list(pairs)}


# Bytes no stock class would write


def part(number: int, content: bytes) -> bytes:
    """Encode a field of length-delimited content."""
    size, length = len(content), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


def gauge_bytes(m: Moment, *, name: bytes = b"g", extra: bytes = b"") -> bytes:
    """Encode a gauge of one point that ends in `extra`."""
    point = b"\x19" + m.now.to_bytes(8, "little") + b"\x21" + bytes(8) + extra
    resource = part(1, part(1, b"service.name") + part(2, part(1, m.service.encode())))
    return part(1, part(1, resource) + part(2, part(2, part(1, name) + part(5, part(1, point)))))


def nested(depth: int) -> bytes:
    """Encode a point's attribute whose value is a list in a list and so on."""
    value = part(1, b"x")
    for _ in range(depth - 1):
        value = part(5, part(1, value))
    return part(7, part(1, b"k") + part(2, value))


UNKNOWN = b"\xc2\x3e\x02hi\xc0\x3e\x05\xc1\x3e" + bytes(8) + b"\xc5\x3e" + bytes(4)  # field 1000, each wire type


# What must hold of what is stored


def no_spike(name: str, highest: float) -> Callable[[Points], None]:
    def check(found: Points) -> None:
        assert all(0 <= value <= highest for _, value in found[name]), found[name]

    return check


def has(expected: Mapping[str, Sequence[tuple[float, float]]], series: int) -> Callable[[Points], None]:
    """Tell that these points are among `series` series."""

    def check(found: Points) -> None:
        assert same({name: found.get(name, []) for name in expected}, expected), found
        assert len(found) == series, sorted(found)

    return check


def overflown(found: Points) -> None:
    calls = {name: sum(v for _, v in p) * 60 for name, p in found.items() if name.startswith("traces.span.calls")}
    assert len(calls) == 201
    assert round(calls[OTHER]) == 4800
    assert round(sum(calls.values())) == 5000


ODD_VALUES = [NAN, INF, -INF, -0.0, 5e-324, 1.7976931348623157e308]
HOSTILE = [
    "../../etc/passwd",
    "a\0b",
    "two\nlines",
    "\u202egnp.exe",
    "<script>alert(1)</script>",
    "' OR 1=1--",
    "ü" * 1024,
]

ROWS: dict[str, Row] = {
    # the wire
    "empty metrics": Row(lambda _: [b""]),
    "empty traces": spans(lambda _: [b""]),
    "empty logs": logs(lambda _: [b""]),
    "empty envelopes": Row(lambda m: [part(1, b""), part(1, part(2, b"")), m.points("g")]),
    "no protobuf": malformed(lambda _: [b"\xff" * 4], "not a valid protobuf message"),
    "no protobuf in traces": malformed(lambda _: [b"\xff" * 4], "not a valid", Signal.TRACES),
    "no protobuf in logs": malformed(lambda _: [b"\xff" * 4], "not a valid", Signal.LOGS),
    "cut off": malformed(lambda m: [m.gauge("g", (0, 1.0)).SerializeToString()[:-3]], "not a valid"),
    "unknown fields everywhere": Row(
        lambda m: [gauge_bytes(m, extra=UNKNOWN) + UNKNOWN], stored=points("g/value", (0, 0.0))
    ),
    "one byte too many": Row(
        lambda _: [bytes((4 << 20) + 1)], code=grpc.StatusCode.RESOURCE_EXHAUSTED, says="larger than max"
    ),
    "four MiB of empty messages": malformed(lambda _: [b"\x0a\x00" * (2 << 20)], "too many elements"),
    "four MiB of empty points": malformed(
        lambda _: [part(1, part(2, part(2, part(1, b"g") + part(5, b"\x0a\x00" * 2_000_000))))], "too many elements"
    ),
    "depth 32": Row(lambda m: [gauge_bytes(m, extra=nested(32))], stored=has({}, 1)),
    "depth 33": malformed(lambda m: [gauge_bytes(m, extra=nested(33))], "nested deeper than 32"),
    "depth 1000": malformed(lambda m: [gauge_bytes(m, extra=nested(1000))], "not a valid protobuf message"),
    "a name that is not UTF-8": malformed(lambda m: [gauge_bytes(m, name=b"\xff\xfe")], "UTF-8"),
    # times
    "time 0": Row(lambda m: [m.points("g", {"time_unix_nano": 0, "as_int": 1})], {"time_missing": 1}),
    "time 2^63": Row(
        lambda m: [m.points("g", *({"time_unix_nano": t, "as_int": 1} for t in (2**63, 2**64 - 1)))],
        {"time_out_of_range": 2},
    ),
    "the year 2262": Row(lambda m: [m.points("g", {"time_unix_nano": 2**63 - 1, "as_int": 1})], {"time_in_future": 1}),
    "11 minutes ahead": Row(
        lambda m: [m.gauge("g", (660, 1.0), (540, 2.0))], {"time_in_future": 1}, points("g/value", (540, 2.0))
    ),
    "past retention": Row(lambda m: [m.gauge("g", (-16 * DAY / SECOND, 1.0))], {"too_old": 1}),
    "out of order": Row(
        lambda m: [m.gauge("g", (0, 1.0)), m.gauge("g", (-1800, 2.0), (-7200, 3.0))],
        {"out_of_order": 1},
        points("g/value", (-1800, 2.0), (0, 1.0)),
    ),
    "disorder within a request": Row(
        lambda m: [m.gauge("g", (0, 1.0), (-60, 3.0), (-30, 2.0))],
        stored=points("g/value", (-60, 3.0), (-30, 2.0), (0, 1.0)),
    ),
    "a start after its time": Row(lambda m: [m.sum("c", (0, 1.0), start=1)], {"start_after_time": 1}),
    # resends
    "five times the same": Row(lambda m: [m.gauge("g", (0, 1.0))] * 5, stored=points("g/value", (0, 1.0))),
    "five times the same in other words": Row(
        lambda m: [m.gauge("g", (0, 1.0)).SerializeToString() + UNKNOWN * i for i in range(5)],
        stored=points("g/value", (0, 1.0)),
    ),
    "five times a counter in other words": Row(
        lambda m: [m.sum("c", (-60, 60.0), (0, 180.0)).SerializeToString() + UNKNOWN * i for i in range(5)],
        stored={"c/total": [(-60, 60.0), (0, 180.0)], "c/rate": [(0, 2.0)]},
    ),
    "another value for the same time": Row(
        lambda m: [m.gauge("g", (0, 1.0), (0, 2.0)), m.gauge("g", (0, 3.0))], stored=points("g/value", (0, 3.0))
    ),
    # values
    "odd values": Row(
        lambda m: [m.gauge("g", *((-i, v) for i, v in enumerate(ODD_VALUES)))],
        stored=points("g/value", *sorted((-float(i), v) for i, v in enumerate(ODD_VALUES))),
    ),
    "no recorded value": Row(
        lambda m: [m.points("g", {"as_double": 7.0, "flags": 1}, {"flags": 1, "time_unix_nano": m.at(-1)})],
        stored=points("g/value", (-1, NAN), (0, NAN)),
    ),
    "extreme integers": Row(
        lambda m: [m.points("g", {"as_int": -(2**63)}, {"as_int": 2**63 - 1, "time_unix_nano": m.at(-1)})],
        stored=points("g/value", (-1, 2.0**63), (0, -(2.0**63))),
    ),
    "no value": Row(lambda m: [m.points("g", {}, {"as_int": 1})], {"no_value": 1}, points("g/value", (0, 1.0))),
    "a metric without data": Row(lambda m: [m.metric(Metric(name="g"))], {"no_data": 1}),
    "a sum of no temporality": Row(lambda m: [m.sum("c", (0, 1.0), temporality=0)], {"temporality_unspecified": 1}),
    "a sum of unknown temporality": Row(
        lambda m: [m.sum("c", (0, 1.0), temporality=99)], {"temporality_unspecified": 1}
    ),
    "sums that are no numbers": Row(
        lambda m: [m.sum("c", (-2, NAN), (-1, INF)), m.sum("d", (0, NAN), is_monotonic=False)], {"not_finite": 3}
    ),
    "a negative increase": Row(lambda m: [m.sum("c", (0, -1.0), temporality=1)], {"negative_delta": 1}),
    "a negative total": Row(lambda m: [m.sum("c", (0, -1.0))], {"negative_total": 1}),
    "seven good of ten": Row(
        lambda m: [m.gauge("g", *((-i, 1.0) for i in range(7)), *((9999 + i, 1.0) for i in range(3)))],
        {"time_in_future": 3},
        points("g/value", *((-i, 1.0) for i in reversed(range(7)))),
    ),
    # counters
    "a counter that drops": Row(
        lambda m: [m.sum("c", (-180, 1000.0), (-120, 1060.0), (-60, 10.0), (0, 70.0))],
        stored=has(points("c/rate", (-120, 1.0), (0, 1.0)), 2),
    ),
    "a counter with a new start": Row(
        lambda m: [m.sum("c", (-120, 1000.0)), m.sum("c", (-60, 30.0), (0, 90.0), start=-90)],
        stored=has(points("c/rate", (-60, 1.0), (0, 1.0)), 2),
    ),
    "a counter that starts at its time": Row(
        lambda m: [m.sum("c", (-60, 5.0), start=-60), m.sum("c", (0, 65.0), start=-60)],
        stored=has(points("c/rate", (0, 1.0)), 2),
    ),
    "a counter without a start": Row(
        lambda m: [m.sum("c", (-60, 1e9), (0, 1e9 + 60), start=None)],
        stored=has(points("c/rate", (0, 1.0)), 2),
    ),
    "two writers of one counter": Row(
        lambda m: [
            m.sum("c", (t + 10 * writer, 1e6 * writer + 2 * (t + 600)), start=-900 - 900 * writer)
            for t in range(-600, 0, 60)
            for writer in (0, 1)
        ],
        stored=no_spike("c/rate", 4.0),
    ),
    "two writers without starts": Row(
        lambda m: [
            m.sum("c", (t - 10 * writer, 1e6 * writer + 2 * (t + 600)), start=None)
            for t in range(-600, 0, 60)
            for writer in (1, 0)
        ],
        stored=no_spike("c/rate", 2.0),
    ),
    "increases without a start": Row(
        lambda m: [m.sum("c", (-60, 60.0), (0, 120.0), start=None, temporality=1)],
        stored=points("c/rate", (-60, NAN), (0, 2.0)),
    ),
    "the same increase twice": Row(
        lambda m: [m.sum("c", (0, 60.0), start=-60, temporality=1).SerializeToString() + UNKNOWN * i for i in (0, 1)],
        stored=points("c/rate", (0, 1.0)),
    ),
    # histograms
    "buckets that do not match their bounds": Row(lambda m: [m.histogram([1, 2], [0.0, 1.0])], {"bad_buckets": 1}),
    "unsorted bounds": Row(lambda m: [m.histogram([1, 2, 3], [1.0, 0.5])], {"bad_buckets": 1}),
    "repeated bounds": Row(lambda m: [m.histogram([1, 2, 3], [1.0, 1.0])], {"bad_buckets": 1}),
    "bounds that are no numbers": Row(lambda m: [m.histogram([1, 2, 3], [0.0, NAN])], {"bad_buckets": 1}),
    "a count that is not the sum of its buckets": Row(
        lambda m: [m.histogram([1, 2, 3], [0.0, 1.0], count=7)], {"bad_buckets": 1}
    ),
    "a histogram of nothing": Row(
        lambda m: [m.histogram([0, 0, 0], [0.0, 1.0], sum=0.0)], stored=has(points("latency/rate", (0, 0.0)), 5)
    ),
    "bounds as far apart as doubles go": Row(
        lambda m: [m.histogram([1, 2, 3], [-1.7e308, 1.7e308])], stored=has(points("latency/rate", (0, 0.1)), 5)
    ),
    "huge buckets": Row(lambda m: [m.histogram([2**63, 2**62, 0], [0.0, 1.0], sum=1e308)], stored=has({}, 5)),
    # names and attributes
    "no name": Row(lambda m: [m.gauge("", (0, 1.0))], {"name_missing": 1}),
    "a long name": Row(lambda m: [m.gauge("x" * 1025, (0, 1.0))], {"name_too_long": 1}),
    "hostile names": Row(
        lambda m: [m.gauge(name, (0, 1.0)) for name in HOSTILE], stored={f"{n}/value": [(0, 1.0)] for n in HOSTILE}
    ),
    "hostile attribute values": Row(
        lambda m: [m.gauge("g", (0, 1.0), k=name) for name in HOSTILE],
        stored={f"g/value/{n}": [(0, 1.0)] for n in HOSTILE},
    ),
    "65 attributes": Row(
        lambda m: [m.gauge("g", (0, 1.0), **{f"k{i}": i for i in range(64)})], {"too_many_attributes": 1}
    ),
    "64 attributes": Row(lambda m: [m.gauge("g", (0, 1.0), **{f"k{i}": i for i in range(63)})], stored=has({}, 1)),
    "a long unit": Row(lambda m: [with_unit(m, "u" * 257)], {"unit_too_long": 1}),
    "a long scope": Row(lambda m: [with_scope(m, "s" * 4097)], {"attribute_too_long": 1}),
    "a long value": Row(lambda m: [m.gauge("g", (0, 1.0), k="x" * 4097)], {"attribute_too_long": 1}),
    "a long key": Row(lambda m: [m.gauge("g", (0, 1.0), **{"k" * 257: 1})], {"attribute_too_long": 1}),
    "attributes in any order": Row(
        lambda m: [m.gauge("g", (-1, 1.0), a=1, b=2), m.gauge("g", (0, 2.0), b=2, a=1)],
        stored=points("g/value/1/2", (-1, 1.0), (0, 2.0)),
    ),
    "an attribute twice": Row(
        lambda m: [duplicated(m, ("a", 1), ("b", 2), ("a", 3))], stored=points("g/value/3/2", (0, 1.0))
    ),
    "one name, several kinds and units": Row(
        lambda m: [m.gauge("n", (0, 1.0)), m.sum("n", (0, 1.0)), with_unit(m, "ms"), with_unit(m, "s")],
        stored=has({"n/total": [(0, 1.0)]}, 3),
    ),
    # spans and logs
    "5,000 spans at once": spans(
        lambda m: [m.spans(*[{}] * 5000)], stored=has(points(SPANS + "GET /", (0, 5000 / 60)), 5)
    ),
    "5,000 spans that end before they start": spans(
        lambda m: [m.spans(*({"end_time_unix_nano": m.at(-40 - i / 1000)} for i in range(5000)))],
        rejected={"bad_span_times": 5000},
    ),
    "spans without times": spans(
        lambda m: [m.spans({"start_time_unix_nano": 0}, {"end_time_unix_nano": 0}, {})],
        rejected={"bad_span_times": 2},
        stored=has(points(SPANS + "GET /", (0, 1 / 60)), 5),
    ),
    "spans of other times": spans(
        lambda m: [
            m.spans(
                {"end_time_unix_nano": m.at(1200)},
                {"end_time_unix_nano": 2**63, "start_time_unix_nano": 2**63},
                {"end_time_unix_nano": m.at(-1_400_000), "start_time_unix_nano": m.at(-1_400_000)},
            )
        ],
        rejected={"time_in_future": 1, "time_out_of_range": 1, "too_old": 1},
    ),
    "spans of hostile names and kinds": spans(
        lambda m: [m.spans(*({"name": name, "kind": 99} for name in HOSTILE), {"name": ""})],
        stored=has(
            {f"traces.span.calls/rate/unspecified/{template(n)}": [(0, 1 / 60)] for n in HOSTILE}
            | {SPANS: [(0, 1 / 60)]},
            40,
        ),
    ),
    "an explosion of span names": spans(
        lambda m: [m.spans(*({"name": f"GET /item{i}"} for i in range(5000)))], stored=overflown
    ),
    "ids in span names": spans(
        lambda m: [m.spans(*({"name": f"GET /{i}"} for i in range(5000)))],
        stored=has(points(SPANS + "GET /{n}", (0, 5000 / 60)), 5),
    ),
    "a span name of a megabyte": spans(
        lambda m: [m.spans({}, {"name": "x" * (1 << 20)})],
        stored=has({SPANS + "GET /": [(0, 1 / 60)], OTHER: [(0, 1 / 60)]}, 10),
    ),
    "spans twice": spans(lambda m: [m.spans({}, {})] * 2, stored=has(points(SPANS + "GET /", (0, 2 / 60)), 5)),
    "log records of odd severities and times": logs(
        lambda m: [
            m.logs(
                {"severity_number": 25},
                {"severity_number": -1},
                {"severity_number": 17, "time_unix_nano": 0, "observed_time_unix_nano": m.at(-20)},
                {"time_unix_nano": 0},
            )
        ],
        rejected={"time_missing": 1},
        stored={"logs.records/rate/UNSPECIFIED": [(0, 2 / 60)], "logs.records/rate/ERROR": [(0, 1 / 60)]},
    ),
}


def duplicated(m: Moment, *pairs: tuple[str, Any]) -> Any:
    request = m.gauge("g", (0, 1.0))
    point = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
    point.attributes.extend(attribute(k, v) for k, v in pairs)
    return request


def with_unit(m: Moment, unit: str) -> Any:
    request = m.gauge("n", (0, 1.0))
    request.resource_metrics[0].scope_metrics[0].metrics[0].unit = unit
    return request


def with_scope(m: Moment, name: str) -> Any:
    request = m.gauge("n", (0, 1.0))
    request.resource_metrics[0].scope_metrics[0].scope.name = name
    return request
