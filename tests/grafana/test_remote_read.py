"""The wire of remote read: what is malformed is refused, what is well-formed is read whole."""

from contextlib import suppress

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.errors import InvalidQueryError, TooLargeError
from grafana_datasource.matching import Matcher
from grafana_datasource.remote_read.snappy import decompressed, wrapped
from grafana_datasource.remote_read.wire import questions
from tests.grafana.strict import error_of

READ = "/prom/api/v1/read"


@given(st.binary(max_size=300))
def test_what_is_wrapped_comes_out_again(data: bytes) -> None:
    assert decompressed(wrapped(data), 300) == data


@pytest.mark.parametrize(
    ("block", "data"),
    [
        (b"\x00", b""),
        (b"\x0b\x04ab\x11\x02\x00c", b"abababababc"),
        (b"\x08\x00a\x1a\x01\x00", b"aaaaaaaa"),
        (b"\x06\x08abc\x0b\x03\x00\x00\x00", b"abcabc"),
        (b"\x04\xf0\x03abcd", b"abcd"),
    ],
)
def test_literals_and_copies_of_every_width_are_read(block: bytes, data: bytes) -> None:
    assert decompressed(block, 100) == data


@pytest.mark.parametrize(
    "block",
    [b"", b"\xff\xff\xff\xff\xff\xff", b"\x04", b"\x04\x0cab", b"\x04\x05\x01", b"\x04\x00a\x05\x09", b"\x01\x04ab"],
)
def test_what_is_no_snappy_is_refused(client: FlaskClient, block: bytes) -> None:
    assert "remote read" in error_of(client.post(READ, data=block), 400)


def test_a_block_may_not_promise_too_much(client: FlaskClient) -> None:
    with pytest.raises(TooLargeError, match="limit is 10"):
        decompressed(b"\x0b" + b"a" * 11, 10)
    error_of(client.post(READ, data=b"\xff\xff\xff\x7f"), 422)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    with suppress(InvalidQueryError):
        questions(data)


def test_a_request_names_times_and_matchers() -> None:
    matcher = b"\x08\x02\x12\x08__name__\x1a\x03x.*"
    query = b"\x08\x64\x10\xc8\x01\x1a" + bytes([len(matcher)]) + matcher + b"\x22\x00"
    (found,) = questions(b"\x0a" + bytes([len(query)]) + query + b"\x10\x01")
    assert (found.start, found.end) == (100_000_000, 200_999_999)
    assert found.matchers == (Matcher("__name__", "=~", "x.*"),)
