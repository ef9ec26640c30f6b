"""Draw the alerts that others notified of."""

from typing import Any

from collector_processor.telemetry.notice import NOTICES_BLOB, Notice, unpacked
from grafana_datasource.backend import Session
from grafana_datasource.query import TimeRange, to_ms


def alerts_between(session: Session, span: TimeRange, wanted: set[str] | None) -> list[dict[str, Any]]:
    """Return alerts that overlap `span` as regions, of series with a `wanted` stable id or of all; by their start."""
    until = min(session.now, span.end)
    found = [
        notice
        for notice in unpacked(session.reader.blob(NOTICES_BLOB))
        if notice.start_unix_nano < span.end
        and (notice.end_unix_nano is None or notice.end_unix_nano >= span.start)
        and (wanted is None or notice.series in wanted)
    ]
    return [_region(notice, until) for notice in found]


def _region(notice: Notice, until: int) -> dict[str, Any]:
    end = until if notice.end_unix_nano is None else notice.end_unix_nano
    state = "firing" if notice.end_unix_nano is None else "resolved"
    return {
        "id": f"alert-{notice.fingerprint}-{notice.start_unix_nano}",
        "time": to_ms(notice.start_unix_nano),
        "timeEnd": to_ms(max(end, notice.start_unix_nano)),
        "title": notice.title,
        "text": notice.text,
        "tags": f"alert,{state},{notice.source}",
    }
