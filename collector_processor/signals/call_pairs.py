"""Pair both ends of calls by span id: a client span and the server span it is the parent of, of whatever requests.

Either end may come first. Each kind waits in a table of 65,536 places, one per id, where a newer one takes the place of
an older: memory is bounded, and of more calls than there are places some are lost, of all services alike.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64

NOBODY = -1
"""Peer of a calling span that does not say whom it calls, or of which that was not read."""

_PLACES = 1 << 16
_PATIENCE = 30 * NANOS_PER_SECOND

_END = np.dtype(
    [
        ("id", "<i8"),  # of the calling span; 0: an empty place
        ("service", "<i4"),
        ("is_error", "?"),
        ("seconds", "<f8"),
        ("peer", "<i4"),  # whom it calls by its own word; of calling spans
        ("weight", "<f8"),  # for how many ends it stands
        ("at", "<i8"),  # when it came
    ],
    align=True,  # or NumPy takes seven times as long to fill a column
)

Ends = npt.NDArray[np.void]
"""Rows of `_END`."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls `(n,)` of which both ends are known; a negative `server` is the peer of that number, inverted.

    Each row stands for `weight` calls.
    """

    client: Int32
    server: Int32
    is_error: Bool
    seconds: Float64
    weight: Float64

    @classmethod
    def concat(cls, parts: list["Calls"]) -> "Calls":
        """Join columns."""
        columns = ("client", "server", "is_error", "seconds", "weight")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def ends(identity: Int64, service: Int64, is_error: Bool, seconds: Float64, weight: float, now: int) -> Ends:
    """Return one end of a call each, of nobody who says whom it calls."""
    rows = np.zeros(identity.size, _END)
    rows["id"], rows["service"], rows["is_error"], rows["seconds"] = identity, service, is_error, seconds
    rows["peer"], rows["weight"], rows["at"] = NOBODY, weight, now
    return rows


class CallPairs:
    """Ends that wait for the other one; one thread."""

    def __init__(self) -> None:
        self._calling, self._called = _empty(), _empty()

    def take(self, calling: Ends, called: Ends) -> Calls:
        """Return the calls that these ends complete; the others wait."""
        place = _places(calling)
        early = self._called[place]
        is_met = early["id"] == calling["id"]
        self._called["id"][place[is_met]] = 0
        calling["peer"][is_met] = NOBODY
        displaced = self._calling[np.unique(place)]
        self._calling[place] = calling
        met = _calls(calling[is_met], early[is_met])

        place = _places(called)
        early = self._calling[place]
        is_met = early["id"] == called["id"]
        self._calling["peer"][place[is_met]] = NOBODY
        self._called[place[~is_met]] = called[~is_met]
        return Calls.concat([met, _calls(early[is_met], called[is_met]), _to_peers(displaced)])

    def give_up(self, now: int) -> Calls:
        """Return calls to peers of which nothing was seen from the other side in half a minute."""
        is_old = (self._calling["peer"] != NOBODY) & (self._calling["at"] <= now - _PATIENCE)
        alone = self._calling[is_old]
        self._calling["peer"][is_old] = NOBODY
        return _to_peers(alone)


def _empty() -> Ends:
    rows = np.zeros(_PLACES, _END)
    rows["peer"] = NOBODY
    return rows


def _places(rows: Ends) -> Int64:
    """Return each id's place; ids are random, but not those of every sender."""
    identity = rows["id"].view(np.uint64)
    place: Int64 = ((identity ^ (identity >> np.uint64(32))) % np.uint64(_PLACES)).astype(np.int64)
    return place


def _calls(client: Ends, server: Ends) -> Calls:
    return Calls(client["service"], server["service"], server["is_error"], server["seconds"], server["weight"])


def _to_peers(rows: Ends) -> Calls:
    alone = rows[rows["peer"] != NOBODY]
    return Calls(alone["service"], ~alone["peer"], alone["is_error"], alone["seconds"], alone["weight"])
