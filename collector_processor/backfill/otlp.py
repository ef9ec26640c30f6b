"""Prometheus' samples as OTLP metrics, by OpenTelemetry's compatibility rules.

`job` becomes `service.name` (and `service.namespace` before a slash), `instance` becomes `service.instance.id`, the
labels of `target_info` become resource attributes, `otel_scope_*` the scope; all other labels stay, as strings.
Names stay as they are. The parts of a histogram are put together; cumulative values have an unknown start.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from collector_processor.backfill.prometheus import Family, Labels, Sampled

POINTS_PER_REQUEST = 1000  # of one series, mostly: no more of it are judged at once
_CUMULATIVE = 2
_TARGET = {"job", "instance"}
_SCOPE = {"otel_scope_name": "name", "otel_scope_version": "version"}

Targets = Mapping[tuple[str, str], Labels]


def requests(family: Family, series: Sequence[Sampled], targets: Targets) -> Iterator[tuple[bytes, int]]:
    """Yield export requests and how many points each holds."""
    request, points = ExportMetricsServiceRequest(), 0
    for labels, rows in _histograms(series) if family.kind == "histogram" else _numbers(series):
        for first in range(0, len(rows), POINTS_PER_REQUEST):
            part = rows[first : first + POINTS_PER_REQUEST]
            _append(request, family, labels, part, targets)
            points += len(part)
            if points >= POINTS_PER_REQUEST:
                yield request.SerializeToString(), points
                request, points = ExportMetricsServiceRequest(), 0
    if points:
        yield request.SerializeToString(), points


def _numbers(series: Sequence[Sampled]) -> Iterator[tuple[Labels, list[dict[str, Any]]]]:
    for one in series:
        yield one.labels, [{"time_unix_nano": _nanos(at), "as_double": value} for at, value in one.samples]


def _histograms(series: Sequence[Sampled]) -> Iterator[tuple[Labels, list[dict[str, Any]]]]:
    """Put buckets, sums and counts together by time; a time at which they do not fit together is left out."""
    grouped: dict[tuple[tuple[str, str], ...], list[Sampled]] = {}
    for one in series:
        identity = tuple(sorted((k, v) for k, v in one.labels.items() if k not in {"le", "__name__"}))
        grouped.setdefault(identity, []).append(one)
    for identity, parts in grouped.items():
        sums: dict[float, float] = {}
        buckets: dict[float, dict[float, float]] = {}
        for part in parts:
            name = part.labels.get("__name__", "")
            for at, value in part.samples:
                if name.endswith("_bucket"):
                    buckets.setdefault(at, {})[float(part.labels["le"])] = value
                elif name.endswith("_sum"):
                    sums[at] = value
        yield (
            dict(identity),
            [_histogram_point(at, buckets[at], sums.get(at)) for at in sorted(buckets) if _is_whole(buckets[at])],
        )


def _is_whole(cumulative: Mapping[float, float]) -> bool:
    """Tell whether there is a last bucket, and none holds fewer than the one before it."""
    below = [0.0, *(cumulative[bound] for bound in sorted(cumulative))]
    return math.inf in cumulative and all(a <= b for a, b in pairwise(below))


def _histogram_point(at: float, cumulative: Mapping[float, float], total: float | None) -> dict[str, Any]:
    bounds = sorted(cumulative)
    below = [0.0, *(cumulative[bound] for bound in bounds)]
    counts = [round(b - a) for a, b in pairwise(below)]
    given = {} if total is None or not math.isfinite(total) else {"sum": total}
    return {
        "time_unix_nano": _nanos(at),
        "count": sum(counts),
        "bucket_counts": counts,
        "explicit_bounds": bounds[:-1],
        **given,
    }


def _append(
    request: ExportMetricsServiceRequest, family: Family, labels: Labels, rows: list[dict[str, Any]], targets: Targets
) -> None:
    """Append points of one series."""
    group = request.resource_metrics.add()
    group.resource.attributes.extend(_resource(labels, targets))
    scope = group.scope_metrics.add()
    for label, name in _SCOPE.items():
        setattr(scope.scope, name, labels.get(label, ""))
    metric: Any = scope.metrics.add(name=family.name)
    data = {"histogram": metric.histogram, "counter": metric.sum, "gauge": metric.gauge}[family.kind]
    if family.kind != "gauge":
        data.aggregation_temporality = _CUMULATIVE
    if family.kind == "counter":
        data.is_monotonic = True
    left_out = {"__name__", "le", *_TARGET, *_SCOPE} if family.kind == "histogram" else {"__name__", *_TARGET, *_SCOPE}
    attributes = [_attribute(k, v) for k, v in sorted(labels.items()) if k not in left_out]
    for row in rows:
        data.data_points.add(attributes=attributes, **row)


def _resource(labels: Labels, targets: Targets) -> list[KeyValue]:
    job, instance = labels.get("job", ""), labels.get("instance", "")
    namespace, _, service = job.rpartition("/")
    told = {k: v for k, v in targets.get((job, instance), {}).items() if k not in {*_TARGET, "__name__"}}
    named = {"service.namespace": namespace, "service.name": service, "service.instance.id": instance}
    return [_attribute(k, v) for k, v in (told | {k: v for k, v in named.items() if v}).items()]


def _attribute(key: str, value: str) -> KeyValue:
    pair = KeyValue(key=key)
    pair.value.string_value = value
    return pair


def _nanos(seconds: float) -> int:
    return round(seconds * 1000) * 1_000_000
