import re

import numpy as np

from collector_processor.clock import MINUTE
from collector_processor.report.chart import Band, BarRow, Chart, Line, Spans, bars, legend, svg
from collector_processor.report.page import heading, note, page, table

TIME = MINUTE * np.arange(100_000)


def test_a_single_spike_among_many_points_is_drawn() -> None:
    value = np.zeros(TIME.size)
    plain = svg(Chart(TIME, lines=(Line("v", value, "value"),)))
    value[54_321] = 1.0
    spiked = svg(Chart(TIME, lines=(Line("v", value, "value"),)))
    heights = {float(y) for y in re.findall(r"[ML]\d+,([\d.]+)", spiked)}
    assert len(heights) == 2
    assert len(plain) < 20_000


def test_a_gap_breaks_the_line() -> None:
    value = np.sin(np.arange(TIME.size) / 1e4)
    whole = svg(Chart(TIME, lines=(Line("v", value, "value"),)))
    value[40_000:60_000] = np.nan
    assert svg(Chart(TIME, lines=(Line("v", value, "value"),))).count("M") == whole.count("M") + 1


def test_spans_and_bands_stay_within_the_plot_and_are_named() -> None:
    value = np.arange(TIME.size, dtype=float)
    chart = Chart(
        TIME,
        lines=(Line("value", value, "value"),),
        bands=(Band("band", value - 1e9, value + 1e9, "alert"),),
        spans=(Spans("labelled", ((-MINUTE, 10**20),), "label"),),
    )
    drawn = svg(chart)
    assert 'x="62.0"' in drawn
    assert 'width="938.0"' in drawn
    assert all(0 <= float(y) <= 210 for y in re.findall(r"\d+,(-?[\d.]+)", drawn))
    assert legend(chart).count("<i") == 3


def test_a_chart_of_nothing_is_nothing_and_of_one_value_a_line() -> None:
    assert not svg(Chart(TIME[:0], lines=(Line("v", np.empty(0), "value"),)))
    assert "<path" in svg(Chart(TIME[:5], lines=(Line("v", np.full(5, 7.0), "value"),)))


def test_bars_leave_out_what_is_unknown() -> None:
    drawn = bars([BarRow("a & b", (0.5, np.nan)), BarRow("c", (2.0, 1.0))], ("yhat", "other"), 1.0)
    assert drawn.count("<rect") == 3
    assert "a &amp; b" in drawn


def test_a_page_escapes_what_came_from_outside() -> None:
    text = page("a < b", [heading("x & y"), note("<script>"), table(("c",), [["<td>"]])])
    assert "<script>" not in text
    assert "&lt;td&gt;" in text
    assert "src=" not in text
    assert "http" not in text
