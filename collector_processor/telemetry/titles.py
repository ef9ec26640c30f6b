"""Say in words what a series measures, for people who choose one from a list."""

from textwrap import shorten

from collector_processor.telemetry.series import Attributes, Kind, SeriesKey, Statistic, attribute_text

_LONGEST_DETAIL = 80  # letters
_WORDS = {
    Statistic.VALUE: "",
    Statistic.TOTAL: "total",
    Statistic.COUNT: "count",
    Statistic.SUM: "sum",
    Statistic.BUCKET: "bucket",
    Statistic.RATE: "rate",
    Statistic.MEAN: "mean",
    Statistic.P50: "median",
    Statistic.P95: "p95",
    Statistic.P99: "p99",
    Statistic.ERROR_RATIO: "error ratio",
}
_SPAN_WORDS = {
    "traces.span.calls": "requests/s",
    "traces.span.errors": "error ratio",
    "traces.span.duration": "duration",
}


def title(key: SeriesKey) -> str:
    """Return one line that says what the series measures, without the attributes of a metric."""
    if key.kind is Kind.SPAN and key.metric in _SPAN_WORDS:
        return _span_title(key)
    if key.kind is Kind.LOG:
        severity = dict(key.attributes).get("severity", "")
        return f"{attribute_text(severity)} log records/s".strip()
    return " ".join(part for part in (key.metric, _WORDS[key.statistic]) if part)


def detail(key: SeriesKey) -> str:
    """Return the attributes that `title` does not say, as `key=value, ...`."""
    hidden = {"span.name", "severity"} if key.kind in {Kind.SPAN, Kind.LOG} else set()
    return ", ".join(f"{k}={attribute_text(v)}" for k, v in key.attributes if k not in hidden)


def local_title(key: SeriesKey) -> str:
    """Return one line that names the series in a list of a service's; of its attributes what fits a line."""
    said = "" if key.kind in {Kind.SPAN, Kind.LOG} else detail(key)
    return f"{title(key)} ({shorten(said, _LONGEST_DETAIL, placeholder=' …')})" if said else title(key)


def full_title(key: SeriesKey) -> str:
    """Return one line that names the series among all."""
    return f"{key.service}: {title(key)}" + (f" ({detail(key)})" if detail(key) else "")


def _span_title(key: SeriesKey) -> str:
    what = _SPAN_WORDS[key.metric]
    if key.statistic in {Statistic.P50, Statistic.P95, Statistic.P99}:
        what = f"{_WORDS[key.statistic]} {what}"
    return f"{_attribute(key.attributes, 'span.name')} {what}".strip()


def _attribute(attributes: Attributes, name: str) -> str:
    return attribute_text(dict(attributes).get(name, ""))
