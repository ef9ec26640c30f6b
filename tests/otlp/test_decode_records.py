import numpy as np
import pytest
from hypothesis import given

from collector_processor.errors import MalformedRequestError
from collector_processor.otlp.decode import decode_logs, decode_traces
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
            arrivals.name,
            arrivals.kind.tolist(),
            arrivals.start_unix_nano.tolist(),
            arrivals.end_unix_nano.tolist(),
            arrivals.is_error.tolist(),
            strict=True,
        )
    )


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
