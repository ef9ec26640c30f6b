"""What a demo asks Foreband for, by the API that everybody has."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

SHOP = ("storefront", "cart", "checkout", "inventory", "payment")
_FILLED = {"value", "rate", "mean", "p50", "error_ratio"}


@dataclass(frozen=True, slots=True)
class Flagged:
    """The first episode that began after the fault."""

    series: str
    title: str
    service: str
    peak_score: float
    seconds: float


class Answers:
    """Foreband's answers; `address` is that of its web server."""

    def __init__(self, address: str) -> None:
        self._address = address

    def is_ready(self) -> bool:
        """Return whether telemetry is taken."""
        return self._get("/readyz") is not None

    def with_history(self) -> list[dict[str, Any]]:
        """Return the shop's series whose past was back-filled densely enough for a forecast."""
        return [r for r in self._catalog() if r["service"] in SHOP and r["statistic"] in _FILLED and r["last_time"]]

    def episodes_since(self, began: float) -> Iterator[Flagged]:
        """Yield episodes of the shop that began after `began`, the furthest from its band first."""
        rows = {r["id"]: r for r in self._catalog()}
        episodes = self._get("/api/v1/episodes?" + urlencode({"from": int(began * 1000), "to": _minutes_ago(-1)})) or []
        for episode in sorted(episodes, key=lambda e: -abs(e["peak_score"])):
            row = rows.get(episode["series"])
            if row and row["service"] in SHOP and episode["start"] / 1000 >= began:
                yield Flagged(row["id"], row["title"], row["service"], episode["peak_score"], time.time() - began)

    def incident_of(self, series: str) -> dict[str, Any] | None:
        """Return the newest incident that a series belongs to, once a cause was looked for."""
        for row in self._get("/api/v1/incidents?" + urlencode({"from": _minutes_ago(60)})) or []:
            found = self._get(f"/api/v1/incidents/{row['id']}")
            if found and (found["cause"] or found["no_cause"]) and series in {m["series"] for m in found["members"]}:
                return dict(found)
        return None

    def outside_the_band(self, series: str) -> int:
        """Return how many of the last minutes' points are drawn outside their band."""
        rows = self._get(f"/api/v1/series/{series}/forecast?{urlencode({'from': _minutes_ago(10)})}") or []
        return sum(1 for r in rows if r["actual"] is not None and r["anomaly"] and not _is_inside(r))

    def firing(self) -> int:
        """Return for how many series an alert rule would fire."""
        found = self._get("/prom/api/v1/query?" + urlencode({"query": "foreband_anomaly != 0"}))
        return len(found["data"]["result"]) if found else 0

    def _catalog(self) -> list[dict[str, Any]]:
        answer = self._get("/api/v1/catalog?limit=1000")
        return list(answer["series"]) if answer else []

    def _get(self, path: str) -> Any:
        """Return a JSON answer, None while there is none."""
        try:
            with urlopen(f"http://{self._address}{path}", timeout=10) as response:
                return json.load(response)
        except (URLError, OSError, ValueError):
            return None


def _minutes_ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()


def _is_inside(row: dict[str, Any]) -> bool:
    return bool(row["lower"] <= row["actual"] <= row["upper"])
