"""The outcome of an evaluation as tables for people, and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from collector_processor.clock import DAY
from collector_processor.evaluation.evaluate import OURS, Measured, by_dataset
from collector_processor.evaluation.summary import Detection, ForecastQuality, detection, forecast_quality
from collector_processor.telemetry.band import INTERVAL_WIDTHS

Rows = list[list[str]]

DETECTION_COLUMNS = (
    "",
    "recall",
    "precision",
    "F1",
    "false alarms a series-week",
    "to detect, median (p90)",
    "steps",
    "fragments",
    "normal time in alarm",
)
FORECAST_COLUMNS = (
    "",
    "series",
    "error 1 h ahead",
    "1 day ahead",
    "pinball loss",
    *(f"{width:.0%} band covers" for width in INTERVAL_WIDTHS),
    "off by, points",
    ">= 97 % in the 99 % band",
)

NOTE = (
    "By the start of an alert; 95 % intervals of a bootstrap over series. A false alarm starts in no labelled window; "
    "times to detect count from the start of a label."
)


def detection_rows(measured: Sequence[Measured]) -> Rows:
    """Return Foreband in all and by dataset, then every baseline in all; intervals are of the bootstrap."""
    parts = by_dataset(measured)
    rows = [_detection_row(f"{OURS}, all {len(measured)} series", _detection(measured, OURS))]
    if len(parts) > 1:
        rows += [_detection_row(f"  {name}", _detection(part, OURS)) for name, part in parts.items()]
    return rows + [_detection_row(name, _detection(measured, name)) for name in _baselines(measured)]


def forecast_rows(measured: Sequence[Measured]) -> Rows:
    """Return the quality of the forecast in all and by dataset."""
    parts = {"all": measured, **(by_dataset(measured) if len(by_dataset(measured)) > 1 else {})}
    return [_forecast_row(name, len(part), _forecast(part)) for name, part in parts.items()]


def table_of(columns: Sequence[str], rows: Rows, caption: str) -> Table:
    """Lay rows out for a terminal; the first one counts."""
    table = Table(*columns, box=None, header_style="bold", caption=caption)
    for column in table.columns[1:]:
        column.justify = "right"
    for i, row in enumerate(rows):
        table.add_row(*row, style="bold" if i == 0 else "")
    return table


def as_json(measured: Sequence[Measured], resident_bytes: int) -> dict[str, Any]:
    """Return `pooled` and every dataset by name, with the same keys; numbers that are not are None."""
    parts = {"pooled": measured, **by_dataset(measured)}
    result: dict[str, Any] = {name: _figures(part) for name, part in parts.items()}
    result["pooled"]["baselines"] = {
        name: _plain(_detection_figures(_detection(measured, name))) for name in _baselines(measured)
    }
    result["pooled"]["cpu_seconds_per_series_day"] = cpu_seconds_per_series_day(measured)
    result["pooled"]["resident_bytes"] = resident_bytes
    return result


def cpu_seconds_per_series_day(measured: Sequence[Measured]) -> float:
    """Return what a day of one series cost, refits included."""
    spans = [float(m.trace.time_unix_nano[-1] - m.trace.time_unix_nano[0]) for m in measured]
    return sum(m.trace.cpu_seconds for m in measured) / (sum(spans) / DAY)


def _figures(part: Sequence[Measured]) -> dict[str, Any]:
    quality = _forecast(part)
    levels = [f"{width:.2f}" for width in INTERVAL_WIDTHS]
    figures: dict[str, Any] = _plain(
        _detection_figures(_detection(part, OURS))
        | {
            "coverage": dict(zip(levels, quality.median_coverage, strict=True)),
            "coverage_error": dict(zip(levels, quality.coverage_error, strict=True)),
            "share_of_series_well_covered": quality.well_covered,
            "mae_ratio": {"1h": quality.mae_ratio_hour, "1d": quality.mae_ratio_day},
            "pinball_ratio": quality.pinball_ratio,
            "rejected_points": sum(m.trace.rejected for m in part),
        }
    )
    return figures


def _detection_figures(found: Detection) -> dict[str, Any]:
    return {
        "series": found.series,
        "events": found.events,
        "series_weeks": found.series_weeks,
        "recall": found.recall,
        "precision": found.precision,
        "f1": found.f1,
        "false_alarms_per_series_week": found.false_alarms_per_series_week,
        "intervals": {name: list(interval) for name, interval in found.intervals.items()},
        "time_to_detect": {
            "median_minutes": found.minutes_to_detect[0],
            "p90_minutes": found.minutes_to_detect[1],
            "median_steps": found.steps_to_detect[0],
            "p90_steps": found.steps_to_detect[1],
        },
        "fragments": found.fragments,
        "share_of_normal_time_in_alarm": found.share_of_normal_time_in_alarm,
    }


def _plain(value: Any) -> Any:
    """Return the same with None for numbers that are not."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _baselines(measured: Sequence[Measured]) -> Iterator[str]:
    return (name for name in measured[0].counts if name != OURS)


def _detection(part: Sequence[Measured], detector: str) -> Detection:
    return detection([m.counts[detector] for m in part])


def _forecast(part: Sequence[Measured]) -> ForecastQuality:
    return forecast_quality([m.error for m in part])


def _detection_row(name: str, found: Detection) -> list[str]:
    def between(figure: float, key: str) -> str:
        low, high = found.intervals[key]
        return f"{figure:.2f} [{low:.2f}, {high:.2f}]"

    return [
        name,
        between(found.recall, "recall"),
        between(found.precision, "precision"),
        between(found.f1, "f1"),
        between(found.false_alarms_per_series_week, "false_alarms_per_series_week"),
        f"{found.minutes_to_detect[0]:.0f} ({found.minutes_to_detect[1]:.0f}) min",
        f"{found.steps_to_detect[0]:.3g} ({found.steps_to_detect[1]:.3g})",
        f"{found.fragments:.2f}",
        f"{found.share_of_normal_time_in_alarm:.2%}",
    ]


def _forecast_row(name: str, series: int, quality: ForecastQuality) -> list[str]:
    return [
        name,
        str(series),
        f"x{quality.mae_ratio_hour:.2f}",
        f"x{quality.mae_ratio_day:.2f}",
        f"x{quality.pinball_ratio:.2f}",
        *(f"{share:.1%}" for share in quality.median_coverage),
        " / ".join(f"{100.0 * off:.1f}" for off in quality.coverage_error),
        f"{quality.well_covered:.0%}",
    ]
