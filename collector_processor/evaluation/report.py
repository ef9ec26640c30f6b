"""The report of an evaluation: its tables, and each series with its band, labels and episodes."""

from collections.abc import Iterator, Sequence

from collector_processor.evaluation.evaluate import OURS, Measured
from collector_processor.evaluation.tables import (
    DETECTION_COLUMNS,
    FORECAST_COLUMNS,
    NOTE,
    detection_rows,
    forecast_rows,
)
from collector_processor.report.chart import Band, Chart, Line, Spans, legend, svg
from collector_processor.report.page import heading, note, page, table


def report_of(measured: Sequence[Measured]) -> str:
    """Return a whole HTML document."""
    return page("Foreband held against labelled series", list(_parts(measured)))


def _parts(measured: Sequence[Measured]) -> Iterator[str]:
    yield heading("Detection")
    yield table(DETECTION_COLUMNS, detection_rows(measured))
    yield note(NOTE)
    yield heading("Forecast")
    yield table(FORECAST_COLUMNS, forecast_rows(measured))
    yield heading("Series")
    yield legend(_chart(measured[0]))
    for one in measured:
        yield heading(one.series.name, 3)
        yield note(_in_words(one))
        yield svg(_chart(one))


def _chart(one: Measured) -> Chart:
    trace, series = one.trace, one.series
    labels = tuple((e.start_unix_nano, e.end_unix_nano) for e in series.events)
    episodes = tuple((start, end) for start, end in trace.episode.tolist())
    first = int(trace.time_unix_nano[0]) if trace.time_unix_nano.size else series.eval_from
    return Chart(
        trace.time_unix_nano,
        lines=(Line("value", trace.value, "value"), Line("yhat", trace.yhat, "yhat")),
        bands=(
            Band("alert band", trace.lower, trace.upper, "alert"),
            Band("99 % band", trace.yhat + trace.offset_lower[:, -1], trace.yhat + trace.offset_upper[:, -1], "inner"),
        ),
        spans=(
            Spans("warm-up, not scored", ((first, series.eval_from),), "warmup"),
            Spans("labelled", labels, "label"),
            Spans("episode", episodes, "episode"),
        ),
    )


def _in_words(one: Measured) -> str:
    counts, error = one.counts[OURS], one.error
    return (
        f"{counts.found} of {counts.events} events found, "
        f"{counts.false_alarms} false alarms in {counts.weeks:.1f} weeks; "
        f"one day ahead x{error.day_ahead:.2f} the error of the value 24 h earlier; "
        f"{error.coverage[-1]:.1%} of points in the 99 % band"
    )
