"""What goes to a destination as one request: an item of its queue, or all that came together.

Protobuf messages of one kind, one after the other, are one message: what both list is listed one after the other.
Which items go together was written with them, so a parcel that is sent again, after a refusal or a restart, is the very
bytes it was: a Foreband that took it knows it. Where a part of it is gone or done, the others go each alone.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


class Item(Protocol):
    """One export request: its signal, how many items it holds, its protobuf bytes, whether it joins the one before."""

    @property
    def signal(self) -> str: ...  # noqa: D102
    @property
    def items(self) -> int: ...  # noqa: D102
    @property
    def payload(self) -> bytes: ...  # noqa: D102
    @property
    def joins(self) -> bool: ...  # noqa: D102


class QueuedItem(Protocol):
    """An item with its place in the outbox."""

    @property
    def item_id(self) -> int: ...  # noqa: D102
    @property
    def item(self) -> Item: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Parcel:
    """Queued items of one signal, at least one."""

    queued: tuple[QueuedItem, ...]

    @property
    def signal(self) -> str:
        """Return the signal of all of them."""
        return self.queued[0].item.signal

    @property
    def items(self) -> int:
        """Return how many items it holds."""
        return sum(queued.item.items for queued in self.queued)

    @property
    def payload(self) -> bytes:
        """Return its protobuf bytes."""
        first, *others = (queued.item.payload for queued in self.queued)
        return b"".join([first, *others]) if others else first

    @property
    def is_joined(self) -> bool:
        """Tell whether it is more than one item."""
        return len(self.queued) > 1

    def apart(self) -> list["Parcel"]:
        """Return a parcel of each item."""
        return [Parcel((queued,)) for queued in self.queued]


def packed(page: Sequence[QueuedItem], done: Collection[int]) -> list[Parcel]:
    """Return what of a page, in order and whole, is not done yet."""
    found: list[Parcel] = []
    for group in _groups(page):
        rest = Parcel(tuple(queued for queued in group if queued.item_id not in done))
        is_whole = len(rest.queued) == len(group) and not group[0].item.joins
        found += [rest] if is_whole else rest.apart()
    return found


def _groups(page: Sequence[QueuedItem]) -> Iterator[list[QueuedItem]]:
    """Yield items that follow one another with those that join them; one whose place is empty parts them."""
    group: list[QueuedItem] = []
    for queued in page:
        if group and not (queued.item.joins and queued.item_id == group[-1].item_id + 1):
            yield group
            group = []
        group.append(queued)
    if group:
        yield group
