"""Keep notifications of alerts: each once, however often it is sent, and only the newest."""

from collections import Counter
from collections.abc import Sequence

from collector_processor.store.base import Commit, SeriesWriter
from collector_processor.telemetry.notice import NOTICES_BLOB, Notice, packed, unpacked


class NoticeDesk:
    """The one place that writes them.

    `take` is called by the thread that owns the writer. `counts` are alerts, and answers to them, by source and what
    became of them.
    """

    def __init__(self, writer: SeriesWriter) -> None:
        self._writer = writer
        self.counts: Counter[tuple[str, str]] = Counter()

    def take(self, notices: Sequence[Notice]) -> int:
        """Make them durable; return how many say something new."""
        known = {notice.identity: notice for notice in unpacked(self._writer.blob(NOTICES_BLOB))}
        new = [notice for notice in notices if _says_more(notice, known.get(notice.identity))]
        if new:
            known.update((notice.identity, notice) for notice in new)
            self._writer.commit(Commit(blobs={NOTICES_BLOB: packed(known.values())}))
        return len(new)

    def count(self, source: str, outcome: str, number: int) -> None:
        """Count what became of some; by any thread."""
        self.counts[source, outcome] += number


def _says_more(notice: Notice, known: Notice | None) -> bool:
    """Tell whether a notice is new; what ended stays ended, since an alert that fires again has another start."""
    if known is None:
        return True
    return notice != known and (notice.end_unix_nano is not None or known.end_unix_nano is None)
