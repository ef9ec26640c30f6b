"""Which items of a queue go as one request."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from collector_processor.otlp.parcels import Parcel, packed


@dataclass
class Item:
    joins: bool
    payload: bytes
    items: int = 2
    signal: str = "logs"


@dataclass
class Queued:
    item_id: int
    item: Item


def page_of(text: str, first: int = 1) -> list[Queued]:
    """Return items by letter: a capital joins none, a point is a place without an item."""
    return [
        Queued(number, Item(letter.islower(), letter.encode()))
        for number, letter in enumerate(text, first)
        if letter != "."
    ]


def payloads(parcels: list[Parcel]) -> list[bytes]:
    return [parcel.payload for parcel in parcels]


def test_items_go_with_those_that_join_them() -> None:
    parcels = packed(page_of("AbcDEf"), ())
    assert payloads(parcels) == [b"Abc", b"D", b"Ef"]
    assert [parcel.items for parcel in parcels] == [6, 2, 4]
    assert [parcel.is_joined for parcel in parcels] == [True, False, True]


def test_items_whose_first_is_gone_go_each_alone() -> None:
    assert payloads(packed(page_of("bcDe", first=2), ())) == [b"b", b"c", b"De"]
    assert payloads(packed(page_of("Ab.de"), ())) == [b"Ab", b"d", b"e"]


def test_items_of_which_one_is_done_go_each_alone() -> None:
    assert payloads(packed(page_of("AbcDe"), {2})) == [b"A", b"c", b"De"]
    assert payloads(packed(page_of("AbcDe"), {1, 2, 3})) == [b"De"]


@given(st.text("Aa.", max_size=12), st.sets(st.integers(0, 12)))
def test_each_item_that_is_not_done_goes_once_in_order(text: str, done: set[int]) -> None:
    page = page_of(text)
    sent = [queued.item_id for parcel in packed(page, done) for queued in parcel.queued]
    assert sent == [queued.item_id for queued in page if queued.item_id not in done]


@given(st.text("Aa.", max_size=12), st.sets(st.integers(0, 12)), st.integers(0, 12))
def test_a_parcel_is_the_same_wherever_the_page_begins(text: str, done: set[int], after: int) -> None:
    """As after a restart: what was sent as one before is sent as the same one again, or in parts."""
    before = {tuple(queued.item_id for queued in parcel.queued) for parcel in packed(page_of(text), ())}
    rest = [queued for queued in page_of(text) if queued.item_id > after]
    again = {tuple(queued.item_id for queued in parcel.queued) for parcel in packed(rest, done)}
    assert all(ids in before for ids in again if len(ids) > 1)
