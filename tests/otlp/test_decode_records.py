import hashlib

import numpy as np
import pytest
from hypothesis import given

from collector_processor.errors import MalformedRequestError
from collector_processor.otlp.decode import decode_logs, decode_traces
from collector_processor.telemetry.arrival import Peer
from tests.otlp import stock
from tests.otlp.stock import NOW, START, ExportLogsServiceRequest, ExportTraceServiceRequest, attribute, spans_request


@given(stock.trace_requests())
def test_it_finds_the_spans_that_the_stock_classes_find(body: bytes) -> None:
    arrivals, parsed = decode_traces(body)
    expected = [
        (
            rs.resource.SerializeToString(),
            span.name,
            span.kind if 0 <= span.kind <= 5 else 0,
            stock.signed(span.start_time_unix_nano),
            stock.signed(span.end_time_unix_nano),
            span.status.code == 2,
        )
        for rs in ExportTraceServiceRequest.FromString(body).resource_spans
        for ss in rs.scope_spans
        for span in ss.spans
    ]
    assert parsed.spans == len(arrivals) == len(expected)
    assert expected == list(
        zip(
            [arrivals.resources[i] for i in arrivals.resource],
            [arrivals.names[i] for i in arrivals.name],
            arrivals.kind.tolist(),
            arrivals.start_unix_nano.tolist(),
            arrivals.end_unix_nano.tolist(),
            arrivals.is_error.tolist(),
            strict=True,
        )
    )


CLIENT, SERVER = 3, 2


def call(kind: int, own: bytes, parent: bytes, **attributes: str) -> bytes:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name="call", kind=kind)
    span.span_id, span.parent_span_id = own, parent
    span.attributes.extend(attribute(name.replace("_", "."), text) for name, text in attributes.items())
    return request.SerializeToString()


OWN, PARENT = bytes(range(8)), bytes(range(1, 9))


@pytest.mark.parametrize(
    ("kind", "own", "parent", "expected"),
    [
        (CLIENT, OWN, PARENT, OWN),
        (4, OWN, b"", OWN),
        (SERVER, OWN, PARENT, PARENT),
        (5, OWN, PARENT, PARENT),
        (SERVER, OWN, b"", bytes(8)),
        (1, OWN, PARENT, bytes(8)),
        (CLIENT, b"short", PARENT, bytes(8)),
        (SERVER, OWN, b"longer than an id", bytes(8)),
    ],
)
def test_both_ends_of_a_call_share_the_id_of_the_calling_span(
    kind: int, own: bytes, parent: bytes, expected: bytes
) -> None:
    arrivals, _ = decode_traces(call(SERVER, OWN, PARENT) + call(kind, own, parent))
    assert arrivals.link.tolist() == [int.from_bytes(each, "little", signed=True) for each in (PARENT, expected)]


def test_a_calling_span_says_whom_it_calls_by_its_most_telling_attribute() -> None:
    body = call(CLIENT, OWN, b"", server_address="10.0.0.7", db_system="postgresql", peer_service="orders")
    body += call(SERVER, PARENT, OWN, peer_service="nobody asks a server")
    arrivals, _ = decode_traces(body)
    assert arrivals.peers == [Peer(int.from_bytes(OWN, "little"), "orders", 1.0)]
    assert decode_traces(call(CLIENT, OWN, b"", http_route="/"))[0].peers == []
    assert decode_traces(call(CLIENT, OWN, b"", peer_service="x" * 300))[0].peers == []


@pytest.mark.parametrize("others", [127, 128])
def test_of_a_span_with_very_many_attributes_the_first_are_looked_at(others: int) -> None:
    named = {f"k{number}": "v" for number in range(others)} | {"peer_service": "orders"}
    assert len(decode_traces(call(CLIENT, OWN, b"", **named))[0].peers) == (others < 128)


def test_few_of_many_calling_spans_are_read_and_stand_for_all() -> None:
    ids = [hashlib.sha256(bytes([i // 256, i % 256])).digest()[:8] for i in range(5_000)]
    arrivals, parsed = decode_traces(b"".join(call(CLIENT, own, b"", peer_service="orders") for own in ids))
    assert parsed.spans == 5_000
    assert len(arrivals.peers) < 100
    assert sum(peer.weight for peer in arrivals.peers) == pytest.approx(5_000, rel=0.5)


def test_equal_resources_are_listed_once() -> None:
    body = spans_request("a").SerializeToString() + spans_request("b").SerializeToString()
    arrivals, _ = decode_traces(body)
    assert len(arrivals.resources) == 1
    assert arrivals.resource.tolist() == [0, 0]


def test_log_records_fall_back_to_the_observed_time() -> None:
    request = ExportLogsServiceRequest()
    rl = request.resource_logs.add()
    rl.resource.attributes.append(attribute("service.name", "shop"))
    records = rl.scope_logs.add().log_records
    records.add(time_unix_nano=START, observed_time_unix_nano=NOW, severity_number=17)
    records.add(observed_time_unix_nano=NOW, severity_number=99)
    records.add(body={"string_value": "text"})
    arrivals = decode_logs(request.SerializeToString())
    assert arrivals.time_unix_nano.tolist() == [START, NOW, 0]
    assert arrivals.severity_number.tolist() == [17, 0, 0]
    assert arrivals.resource.dtype == np.int32
    assert len(arrivals) == 3


def test_empty_requests_are_fine() -> None:
    assert len(decode_traces(b"")[0]) == 0
    assert len(decode_logs(b"")) == 0


@pytest.mark.parametrize("body", [b"\xff\xff\xff\xff", b"\x0a\x05ab"])
def test_undecodable_bytes_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequestError, match="trace request"):
        decode_traces(body)
    with pytest.raises(MalformedRequestError, match="logs request"):
        decode_logs(body)


def test_invalid_utf8_in_a_span_name_is_named() -> None:
    body = spans_request("QQQQ").SerializeToString().replace(b"QQQQ", b"a\xff\xfeb")
    with pytest.raises(MalformedRequestError, match="UTF-8"):
        decode_traces(body)
