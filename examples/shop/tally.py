"""Add up the simulated shop's metrics as cumulative SDK instruments would."""

import math
from bisect import bisect_left
from collections import Counter

from examples.shop.books import Books
from examples.shop.metrics import ORDER_VALUE_BOUNDS, MetricKind, MetricSpec, measurements_of
from examples.shop.traffic import Request, Visit, fates_of, requests_in


class HistogramTally:
    """A cumulative explicit-bucket histogram; a bucket includes its upper bound."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.bucket_counts = [0] * (len(bounds) + 1)
        self.count, self.sum = 0, 0.0
        self.min, self.max = math.inf, -math.inf

    def record(self, value: float) -> None:
        """Count one value."""
        self.bucket_counts[bisect_left(self.bounds, value)] += 1
        self.count += 1
        self.sum += value
        self.min, self.max = min(self.min, value), max(self.max, value)


class Tally:
    """Every cumulative value of the shop since the start of its history, and its books."""

    def __init__(self, books: Books) -> None:
        self.histogram = HistogramTally(ORDER_VALUE_BOUNDS)
        self._books = books
        self._sums: Counter[tuple[str, str]] = Counter()

    def record_minute(self, minute: int, seed: int) -> tuple[list[Request], list[Visit]]:
        """Let one Unix minute of traffic pass; return its requests and how they ended."""
        requests = requests_in(minute, seed)
        visits = fates_of(requests, minute, seed)
        self._books.record_minute(minute, seed, requests, visits)
        for request, visit in zip(requests, visits, strict=True):
            self._record_visit(request, visit)
        return requests, visits

    def value(self, spec: MetricSpec, label: str, now_unix_nano: int) -> int:
        """Return the present value of a series that is not a histogram."""
        if spec.kind is MetricKind.COUNTER:
            return self._sums[spec.name, label]
        return self._books.read(spec, label, now_unix_nano)

    def _record_visit(self, request: Request, visit: Visit) -> None:
        for call in visit.calls:
            self._record_visit(request, call)
        for spec, label, amount in measurements_of(visit.operation, visit.status, request.basket):
            if spec.kind is MetricKind.HISTOGRAM:
                self.histogram.record(amount)
            else:
                self._sums[spec.name, label] += int(amount)
