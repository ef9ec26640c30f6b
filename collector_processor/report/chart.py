"""Plots as inline SVG, drawn at the resolution of a screen: a series of any length costs some tens of kilobytes.

    svg(Chart(time, lines=(Line("value", value, "value"),), bands=(Band("alert band", lower, upper, "alert"),)))

What is drawn in one column of pixels is its extremes, so no spike is lost. Styles are classes of the page's stylesheet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

import numpy as np

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.telemetry.points import Float64, Int64

WIDTH, HEIGHT = 1000, 210
_LEFT, _BOTTOM, _TOP = 62, 20, 6
_COLUMNS = 800
_TIME_TICKS, _VALUE_TICKS = 8, 4
_BAR, _ROW = 7, 22
_LABEL = 330


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Values `(n,)` at the chart's times, NaN where the line is broken."""

    label: str
    value: Float64
    style: str


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """The area between two lines `(n,)`."""

    label: str
    lower: Float64
    upper: Float64
    style: str


@dataclass(frozen=True, slots=True)
class Spans:
    """Stretches of time, drawn over the whole height."""

    label: str
    spans: tuple[tuple[int, int], ...]
    style: str


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """Everything over one axis of ascending times `(n,)`."""

    time_unix_nano: Int64
    lines: tuple[Line, ...] = ()
    bands: tuple[Band, ...] = ()
    spans: tuple[Spans, ...] = ()


@dataclass(frozen=True, slots=True)
class BarRow:
    """One labelled row of bars."""

    label: str
    values: tuple[float, ...]


def svg(chart: Chart) -> str:
    """Draw a chart; the height is that of its lines, with as much of the bands as fits."""
    if not chart.time_unix_nano.size:
        return ""
    frame = _Frame(chart)
    parts = [
        *(frame.stretches(s) for s in chart.spans),
        *(frame.area(b) for b in chart.bands),
        *(frame.path(line) for line in chart.lines),
        *frame.axes(),
    ]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(parts)}</svg>'


def legend(chart: Chart) -> str:
    """Name what is drawn."""
    drawn: list[Line | Band | Spans] = [*chart.lines, *chart.bands, *chart.spans]
    return legend_of([(one.label, one.style) for one in drawn])


def legend_of(entries: Sequence[tuple[str, str]]) -> str:
    """Name styles by (label, style)."""
    return (
        '<p class="legend">' + "".join(f'<i class="{style}"></i>{escape(label)} ' for label, style in entries) + "</p>"
    )


def bars(rows: Sequence[BarRow], styles: Sequence[str], mark: float) -> str:
    """Draw horizontal bars, one style per value, with a line at `mark`; NaN is left out."""
    finite = [v for row in rows for v in row.values if np.isfinite(v)]
    most = 1.05 * max([mark, *finite])
    height, scale = _ROW * len(rows), (WIDTH - _LABEL - 60) / most
    at = _LABEL + mark * scale
    drawn = [f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{height}"/>']
    for i, row in enumerate(rows):
        drawn.append(f'<text x="{_LABEL - 8}" y="{i * _ROW + 14}" text-anchor="end">{escape(row.label)}</text>')
        for k, (value, style) in enumerate(zip(row.values, styles, strict=True)):
            if np.isfinite(value):
                y, length = i * _ROW + 3 + k * (_BAR + 1), value * scale
                drawn.append(f'<rect class="{style}" x="{_LABEL}" y="{y}" width="{length:.1f}" height="{_BAR}"/>')
                drawn.append(f'<text class="small" x="{_LABEL + length + 4:.1f}" y="{y + _BAR}">{value:.3g}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {height}">{"".join(drawn)}</svg>'


class _Frame:
    """Scales of one chart: columns of time, and the values between its lowest and highest line."""

    def __init__(self, chart: Chart) -> None:
        time = chart.time_unix_nano
        self._start, self._span = int(time[0]), max(1, int(time[-1] - time[0]))
        column = (time - self._start) * (_COLUMNS - 1) // self._span
        self._first = np.flatnonzero(np.diff(column, prepend=-1))
        self._x = _LEFT + column[self._first] * (WIDTH - _LEFT) / (_COLUMNS - 1)
        values = np.concatenate([line.value[np.isfinite(line.value)] for line in chart.lines])
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        margin = 0.05 * (high - low) or 0.5 * abs(high) or 1.0
        self._low, self._high = low - margin, high + margin

    def path(self, line: Line) -> str:
        low, high = self._extremes(line.value, line.value)
        steps: list[str] = []
        for x, a, b in zip(self._x.tolist(), self._y(low).tolist(), self._y(high).tolist(), strict=True):
            if np.isnan(a):
                steps.append("")
                continue
            to = "L" if steps and steps[-1] else "M"
            steps.append(f"{to}{x:.0f},{a:.1f}" + (f"L{x:.0f},{b:.1f}" if abs(a - b) > 1.0 else ""))
        return f'<path class="{line.style}" d="{"".join(steps)}"/>'

    def area(self, band: Band) -> str:
        low, high = self._extremes(band.lower, band.upper)
        known = np.isfinite(low) & np.isfinite(high)
        x, bottom, top = self._x[known], self._y(low[known]), self._y(high[known])
        up = " ".join(f"{a:.0f},{b:.1f}" for a, b in zip(x.tolist(), top.tolist(), strict=True))
        down = " ".join(f"{a:.0f},{b:.1f}" for a, b in zip(x[::-1].tolist(), bottom[::-1].tolist(), strict=True))
        return f'<polygon class="{band.style}" points="{up} {down}"/>'

    def stretches(self, spans: Spans) -> str:
        return "".join(self._stretch(start, end, spans) for start, end in spans.spans)

    def axes(self) -> Iterator[str]:
        for value in np.linspace(self._low, self._high, _VALUE_TICKS):
            y = float(self._y(np.array([value]))[0])
            yield f'<text x="{_LEFT - 4}" y="{y + 3:.0f}" text-anchor="end">{value:.3g}</text>'
        for i in range(_TIME_TICKS):
            moment = datetime.fromtimestamp((self._start + self._span * i // _TIME_TICKS) / NANOS_PER_SECOND, UTC)
            x = _LEFT + (WIDTH - _LEFT) * i / _TIME_TICKS
            yield f'<text x="{x:.0f}" y="{HEIGHT - 6}">{moment:%Y-%m-%d %H:%M}</text>'

    def _stretch(self, start: int, end: int, spans: Spans) -> str:
        left, right = ((t - self._start) / self._span * (WIDTH - _LEFT) + _LEFT for t in (start, end))
        left, right = max(float(_LEFT), left), min(float(WIDTH), right)
        width, height = max(1.5, right - left), HEIGHT - _BOTTOM - _TOP
        return f'<rect class="{spans.style}" x="{left:.1f}" y="{_TOP}" width="{width:.1f}" height="{height}"/>'

    def _extremes(self, low: Float64, high: Float64) -> tuple[Float64, Float64]:
        """Return the smallest and the largest value in each column, NaN without any."""
        return np.fmin.reduceat(low, self._first), np.fmax.reduceat(high, self._first)

    def _y(self, value: Float64) -> Float64:
        share = np.clip((value - self._low) / (self._high - self._low), 0.0, 1.0)
        return np.asarray(_TOP + (1.0 - share) * (HEIGHT - _BOTTOM - _TOP))
