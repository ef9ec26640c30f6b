"""Give OpenTelemetry series the metric and label names that Prometheus and Grafana expect.

Nobody meets a dot: names are written with underscores here, once, the same way in every answer. A label set never
changes with a refit or a restart, because alerts are told apart by it.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter

from collector_processor.telemetry.series import AttributeValue, Kind, SeriesKey, Statistic, attribute_text

OWN_LABELS = ("series", "metric", "statistic", "band", "interval_width", "title")
"""Labels Foreband sets itself; an attribute of that name is prefixed with `exported_`."""

SUFFIX = {
    Statistic.VALUE: "",
    Statistic.TOTAL: "_total",
    Statistic.COUNT: "_count",
    Statistic.SUM: "_sum",
    Statistic.BUCKET: "_bucket",
    Statistic.RATE: "_rate",
    Statistic.MEAN: "_mean",
    Statistic.P50: "_p50",
    Statistic.P95: "_p95",
    Statistic.P99: "_p99",
    Statistic.ERROR_RATIO: "_error_ratio",
}

_RESOURCE_LABELS = {
    "host.name",
    "deployment.environment.name",
    "deployment.environment",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "container.name",
}
_TAKEN = frozenset({*OWN_LABELS, "__name__", "quantile"})
_NAMES_KNOWN = 10_000  # a fleet has few, and each many times
_NOT_IN_METRIC = re.compile(r"[^a-zA-Z0-9_:]+")
_NOT_IN_LABEL = re.compile(r"[^a-zA-Z0-9_]")


def metric_name(key: SeriesKey) -> str:
    """Return the name under which the stored series is queried, without `foreband_` in front."""
    name = legacy_metric(key.metric) or "_"
    suffix = SUFFIX[key.statistic]
    if name.startswith("foreband_"):
        name = f"exported_{name}"
    return name if suffix and name.endswith(suffix) else name + suffix


@lru_cache(_NAMES_KNOWN)
def legacy_metric(name: str) -> str:
    """Return a name of any characters as it is written where only letters, digits, `_` and `:` are allowed."""
    name = _NOT_IN_METRIC.sub("_", name)
    return f"_{name}" if name[:1].isdigit() else name


@lru_cache(_NAMES_KNOWN)
def label_name(key: str) -> str:
    """Return a valid label name for an attribute key."""
    name = _NOT_IN_LABEL.sub("_", key) or "_"
    return f"key_{name}" if name[0].isdigit() else name


def series_labels(key: SeriesKey) -> dict[str, str]:
    """Return the labels of a series, without `__name__`, in order of name.

    Attributes whose names become equal are joined with `;` in order of their original keys, as the
    OpenTelemetry compatibility rules say. A point attribute named like a resource label is `exported_...`.
    """
    return dict(sorted(Labelling().of(key).items()))


class Labelling:
    """Finds the labels of many series; what their resources give is found once for each, while they are all held."""

    def __init__(self) -> None:
        self._of_resource: dict[int, tuple[dict[str, str], frozenset[str]]] = {}

    def of(self, key: SeriesKey) -> dict[str, str]:
        """Return `series_labels` in any order."""
        known = self._of_resource.get(id(key.resource))
        if known is None:
            of_resource = _resource_labels(key)
            known = self._of_resource[id(key.resource)] = of_resource, frozenset(of_resource) | _TAKEN
        labels, taken = dict(known[0]), known[1]
        if key.kind is Kind.SUMMARY and key.statistic is Statistic.VALUE:
            taken -= {"quantile"}
        for name, text in _joined(key.attributes).items():
            labels[f"exported_{name}" if name in taken else name] = text
        return labels


DERIVED_LABELS = frozenset({"metric", "series", "statistic"})


def derived_labels(key: SeriesKey) -> dict[str, str]:
    """Return what every `foreband_*` sample of this series carries besides the labels of the series."""
    return {"metric": key.metric, "series": key.stable_id, "statistic": key.statistic.value}


def decode_label(name: str) -> str:
    """Read a label name of a URL path: `U__service_2e_name` is the escaped form of `service.name`."""
    if name.startswith("U__"):
        name = re.sub(r"_([0-9a-fA-F]{1,6})_|__", _unescape, name[3:])
    return name if name == "__name__" else label_name(name)


def _resource_labels(key: SeriesKey) -> dict[str, str]:
    labels = _joined((k, v) for k, v in key.resource if k.startswith("service.") or k in _RESOURCE_LABELS)
    return labels | {"service_name": key.service}


def _joined(attributes: Iterable[tuple[str, AttributeValue]]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for key, value in sorted(attributes, key=itemgetter(0)):
        name, text = label_name(key), attribute_text(value)
        if name.startswith("__"):
            name = f"key{name}"  # such names are Prometheus' own, and refused by who scrapes
        if text:
            labels[name] = f"{labels[name]};{text}" if name in labels else text
    return labels


def _unescape(match: re.Match[str]) -> str:
    if match.group(0) == "__":
        return "_"
    code = int(match.group(1), 16)
    return chr(code) if code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else "_"
