"""What was taken in the last hour, so that a request sent again gets the same answer and changes nothing."""

from collections.abc import Iterable, Mapping, Sequence

from collector_processor.clock import HOUR
from collector_processor.pipeline.request import Request
from collector_processor.signals.outcome import Settlement
from collector_processor.store.base import RequestReceipt, SeriesReader

_KEPT = HOUR
_MOST = 100_000  # about 30 MB


class Receipts:
    """Those of the last hour by digest, and no more than there is room for."""

    def __init__(self, stored: Iterable[RequestReceipt] = ()) -> None:
        self._known = {receipt.digest: receipt for receipt in stored}

    @classmethod
    def of_store(cls, reader: SeriesReader, now: int) -> "Receipts":
        """Return what a store knows."""
        return cls(reader.receipts(now - _KEPT))

    def set_apart(self, requests: Sequence[Request]) -> tuple[list[Request], dict[bytes, RequestReceipt]]:
        """Return the requests nobody sent before, each once, and the receipts of those that were taken already."""
        fresh: dict[bytes, Request] = {}
        known: dict[bytes, RequestReceipt] = {}
        for request in requests:
            receipt = self._known.get(request.digest)
            if receipt is not None:
                known[request.digest] = receipt
            else:
                fresh.setdefault(request.digest, request)
        return list(fresh.values()), known

    def keep(self, receipts: Mapping[bytes, RequestReceipt]) -> None:
        """Take in what was made durable."""
        self._known |= receipts

    def forget(self, now: int) -> None:
        """Drop what is older than an hour, and the oldest of too many."""
        oldest = next(iter(self._known.values()), None)
        if oldest is None:
            return
        if oldest.received_unix_nano < now - _KEPT or len(self._known) > 1.1 * _MOST:
            newest = list(self._known.items())[-_MOST:]
            self._known = {d: r for d, r in newest if r.received_unix_nano >= now - _KEPT}


def receipts_of(
    requests: Sequence[Request], settlements: Sequence[Settlement], now: int
) -> dict[bytes, RequestReceipt]:
    """Return what is put on record of requests, by digest."""
    return {
        request.digest: RequestReceipt(request.digest, now, settlement.stored, dict(settlement.rejected))
        for request, settlement in zip(requests, settlements, strict=True)
    }
