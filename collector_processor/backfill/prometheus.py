"""Reading what Prometheus, or anything with its API, knows of the past."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from collector_processor.errors import ForebandError

SAMPLES_PER_QUERY = 100_000
STEPS_PER_QUERY = 10_000  # Prometheus answers 11,000 a series at most
_TIMEOUT_SECONDS = 120.0
_TRIES = 4
_PARTS = ("_bucket", "_sum", "_count")

Labels = dict[str, str]


class SourceError(ForebandError):
    """The source cannot be asked, or its answer is none."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One series as a range query returned it: `(Unix seconds, value)`, ascending."""

    labels: Labels
    samples: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Family:
    """What is read together: one metric, or the three parts of a histogram; `kind` is counter, gauge or histogram."""

    name: str
    kind: str
    query: str


@dataclass(frozen=True, slots=True)
class PrometheusSource:
    """A server with Prometheus' HTTP API."""

    url: str
    token: str = field(default="", repr=False)

    def families(self, matches: Sequence[str], start: int, end: int) -> list[Family]:
        """Return what there is between two Unix seconds, by selector and name."""
        types = {name: found[0]["type"] for name, found in self._get("metadata", {}).items() if found}
        found: dict[str, Family] = {}
        for match in matches:
            names = self._get("label/__name__/values", {"match[]": match, "start": start, "end": end})
            found |= {family.query: family for family in _families(match, names, types)}
        return list(found.values())

    def target_info(self, end: int) -> dict[tuple[str, str], Labels]:
        """Return the labels of `target_info` by (job, instance): what OpenTelemetry says of a resource."""
        rows = self._get("query", {"query": "last_over_time(target_info[1d])", "time": end})["result"]
        return {(row["metric"].get("job", ""), row["metric"].get("instance", "")): row["metric"] for row in rows}

    def read(self, family: Family, start: int, end: int, step: int) -> Iterator[list[Sampled]]:
        """Yield the samples of `[start, end)` (Unix seconds, multiples of `step`) in parts that fit into memory."""
        count = self._get("query", {"query": f"count(last_over_time({family.query}[{end - start}s]))", "time": end})
        series = int(float(count["result"][0]["value"][1])) if count["result"] else 0
        if not series:
            return
        steps = max(1, min(STEPS_PER_QUERY, SAMPLES_PER_QUERY // series))
        for at in range(start, end, steps * step):
            last = min(at + steps * step, end) - step
            asked = {"query": family.query, "start": at, "end": last, "step": step}
            yield [_sampled(row) for row in self._get("query_range", asked)["result"]]

    def _get(self, path: str, parameters: Mapping[str, Any]) -> Any:
        """Ask until there is an answer, a few times.

        Raises:
            SourceError: if there is none, or it is an error.
        """
        for attempt in range(_TRIES):
            try:
                return self._ask(path, parameters)
            except (URLError, OSError, ValueError) as error:
                is_refused = isinstance(error, HTTPError) and error.code < 500 and error.code != 429
                if is_refused or attempt == _TRIES - 1:
                    raise SourceError(f"{self.url}: {path}: {_told(error)}") from error
                time.sleep(2.0**attempt)
        raise AssertionError("the last try returns or raises")

    def _ask(self, path: str, parameters: Mapping[str, Any]) -> Any:
        request = Request(f"{self.url.rstrip('/')}/api/v1/{path}", urlencode(parameters).encode())  # noqa: S310
        if path.startswith(("label", "metadata")):  # these are read by GET alone
            request = Request(f"{request.full_url}?{urlencode(parameters)}")  # noqa: S310
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        with urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310  (the operator's own URL)
            answer = json.loads(response.read())
        if answer.get("status") != "success":
            raise SourceError(f"{self.url}: {path}: {answer.get('error', 'no success')}")
        return answer.get("data") or {}


def _families(match: str, names: Sequence[str], types: Mapping[str, str]) -> Iterator[Family]:
    """Yield the families of a selector; one that begins with a name is its own family."""
    if not match.startswith("{"):
        yield from (Family(name, _kind(name, types), match) for name in names)
        return
    histograms = {name.removesuffix("_bucket") for name in names if name.endswith("_bucket")}
    parts = {base + part for base in histograms for part in _PARTS}
    for base in sorted(histograms):
        yield Family(base, "histogram", _narrowed(match, f'__name__=~"{base}_(bucket|sum|count)"'))
    for name in sorted(set(names) - parts - {"target_info"}):
        yield Family(name, _kind(name, types), _narrowed(match, f'__name__="{name}"'))


def _narrowed(match: str, matcher: str) -> str:
    inner = match.strip()[1:-1].strip().rstrip(",")
    return f"{{{inner},{matcher}}}" if inner else f"{{{matcher}}}"


def _kind(name: str, types: Mapping[str, str]) -> str:
    """Return what a metric is, by its metadata where the source has any, else by OpenMetrics' suffix."""
    base = next((name.removesuffix(part) for part in _PARTS if name.endswith(part)), name)
    known = types.get(name) or types.get(name.removesuffix("_total")) or types.get(base)
    if known in {"histogram", "summary"}:
        return "counter" if name != base else "gauge"
    if known in {"counter", "gauge"}:
        return known
    return "counter" if name.endswith("_total") else "gauge"


def _sampled(row: Any) -> Sampled:
    return Sampled(row["metric"], [(float(at), float(value)) for at, value in row["values"]])


def _told(error: Exception) -> str:
    if not isinstance(error, HTTPError):
        return str(error)
    try:
        text = json.loads(error.read())["error"]
    except (ValueError, KeyError, OSError):
        text = error.reason
    return f"{error.code} {text}"
