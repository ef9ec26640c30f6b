import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.signals.span_names import template


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("GET /users/4711", "GET /users/{n}"),
        ("GET /users/4711/orders/7?page=2&q=a", "GET /users/{n}/orders/{n}"),
        ("/item/3f2504e0-4f89-11d3-9a0c-0305e82c3301/image", "/item/{uuid}/image"),
        ("GET /blob/9e107d9d372bb6826bd81d3542a419d6", "GET /blob/{hex}"),
        ("read 0xdeadbeef", "read {hex}"),
        ("GET /objects/507f1f77bcf86cd799439011", "GET /objects/{hex}"),
        ("GET /ulid/01ARZ3NDEKTSV4RRFFQ69G5FAV", "GET /ulid/{id}"),
        ("report 2026-02-28", "report {date}"),
        ("report 2026-02-28T23:59:59.5Z", "report {date}"),
        ("connect 10.0.0.17:5432", "connect {ip}:{n}"),
        ("mail ada.l+x@example.co.uk", "mail {email}"),
        ("order-12345 paid", "order-{n} paid"),
        ("job_77", "job_{n}"),
        ("queue.991 process", "queue.{n} process"),
        ("DELETE /cart/5", "DELETE /cart/{n}"),
        ("https://shop.example/item/5?ref=mail", "https://shop.example/item/{n}"),
        ("SELECT * FROM t WHERE id = 5 AND name = 'it''s'", "SELECT * FROM t WHERE id = ? AND name = ?"),
        ("select a from t2 where x in (1, 2,3)", "select a from t2 where x in (?)"),
        ("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "INSERT INTO t VALUES (?)"),
        ("UPDATE t SET x = -1.5e3\n  WHERE y = 0x1F", "UPDATE t SET x = ? WHERE y = ?"),
        ("SELECT 'cut off", "SELECT ?"),
    ],
)
def test_what_changes_from_request_to_request_becomes_a_placeholder(name: str, operation: str) -> None:
    assert template(name) == operation


@pytest.mark.parametrize(
    "name",
    [
        "",
        "GET /users/{id}",
        "GET /api/v1/users/:id",
        "SELECT shop.orders",
        "SELECT * FROM orders2 WHERE id = $1 AND x = :x2",
        "HTTP/1.1 GET",
        "s3.PutObject",
        "oauth2 callback",
        "release v1.2.3",
        "base64 decode",
        "ListBucketsV2",
        "grpc.health.v1.Health/Check",
        "deadbeef cafe",
        "größe ändern",
        "what?",
    ],
)
def test_what_names_an_operation_stays(name: str) -> None:
    assert template(name) == name


@given(st.text(max_size=60) | st.from_regex(r"(GET|SELECT) [/a-z0-9'@?.-]{0,40}", fullmatch=True))
def test_an_operation_is_its_own_operation(name: str) -> None:
    once = template(name)
    assert template(once) == once


@given(st.integers(0, 10**30), st.uuids())
def test_numbers_and_ids_make_no_new_operations(number: int, identifier: object) -> None:
    assert template(f"GET /a/{number}/b/{identifier}") == "GET /a/{n}/b/{uuid}"
