"""Small questions whose answers can be worked out by hand; a real Prometheus is asked in `tests/servers`."""

import math
from typing import Any

import pytest

from collector_processor.errors import InvalidQueryError, TooLargeError
from grafana_datasource.promql import samples
from grafana_datasource.promql.engine import Evaluation
from grafana_datasource.promql.parser import parse
from grafana_datasource.query import FailedQueryError, Grid, UnsupportedQueryError
from tests.promql.memory import SECOND, MemorySource, evaluated

NAN, INF = math.nan, math.inf

SOURCE = MemorySource(
    {
        'x{a="1"}': "0 1 2 3 4 5 6 7 8 9 10",
        'x{a="2"}': "0 2 4 6 8 10 12 14 16 18 20",
        'reset{a="1"}': "0 60 120 30 90 150",
        "gap": "1 _*6 2",
        "ends": "1 2 x _ 3",
        "level": "5*11",
        "odd": "nan inf -inf 0 3",
        'owner{a="1", who="ann"}': "1*11",
        'h{le="1"}': "0 10 10",
        'h{le="2"}': "0 20 20",
        'h{le="+Inf"}': "0 40 20",
        'other{le="1"}': "0 1 1",
        'other{le="+Inf"}': "0 1 1",
        'two{a="1", b="1"}': "1*11",
        'two{a="1", b="2"}': "2*11",
    }
)


@pytest.mark.parametrize(
    ("text", "time", "expected"),
    [
        ("2 + 3 * 4 ^ 2 % 5", 0, [5.0]),
        ("1 > bool 2", 0, [0.0]),
        ("time()", 90.5, [90.5]),
        ("-1 ^ 2", 0, [-1.0]),
        ('x{a="1"}', 120, {"x{a=1}": [2.0]}),
        ('x{a=~"1|3"}', 150, {"x{a=1}": [2.0]}),
        ('x{a!="1"} offset 1m', 120, {"x{a=2}": [2.0]}),
        ('x{a="1"} @ 240', 0, {"x{a=1}": [4.0]}),
        ('x{a="1"} @ 240 offset 1m', 0, {"x{a=1}": [3.0]}),
        ("gap", 300, {"gap{}": [1.0]}),
        ("gap", 300.001, {}),
        ("ends", 100, {"ends{}": [2.0]}),
        ("ends", 120, {}),
        ("count_over_time(ends[4m])", 240, {"{}": [3.0]}),
        ("timestamp(gap)", 130, {"{}": [0.0]}),
        ("timestamp(gap + 0)", 130, {"{}": [130.0]}),
        ('rate(x{a="1"}[2m])', 240, {"{a=1}": [1 / 60]}),
        ('increase(x{a="1"}[5m])', 330, {"{a=1}": [5.0]}),
        ('increase(x{a="1"}[3m])', 120, {"{a=1}": [2.0]}),
        ("increase(reset[5m])", 300, {"{a=1}": [270.0]}),
        ("irate(reset[3m])", 180, {"{a=1}": [0.5]}),
        ("idelta(reset[3m])", 180, {"{a=1}": [-90.0]}),
        ("delta(reset[2m])", 180, {"{a=1}": [-30.0]}),
        ("resets(reset[5m])", 300, {"{a=1}": [1.0]}),
        ("changes(reset[5m])", 300, {"{a=1}": [5.0]}),
        ("rate(gap[1m])", 0, {}),
        ('deriv(x{a="2"}[3m])', 240, {"{a=2}": [2 / 60]}),
        ('predict_linear(x{a="2"}[3m], 60)', 240, {"{a=2}": [10.0]}),
        ('holt_winters(x{a="2"}[3m], 0.5, 0.5)', 240, {"{a=2}": [8.0]}),
        ("avg_over_time(level[10m])", 600, {"{}": [5.0]}),
        ("stddev_over_time(level[10m])", 600, {"{}": [0.0]}),
        ('sum_over_time(x{a="1"}[2m])', 240, {"{a=1}": [9.0]}),
        ('quantile_over_time(0.5, x{a="1"}[3m])', 240, {"{a=1}": [2.5]}),
        ('mad_over_time(x{a="1"}[4m])', 240, {"{a=1}": [1.0]}),
        ('last_over_time(x{a="1"}[4m])', 270, {"x{a=1}": [4.0]}),
        ("max_over_time(odd[4m])", 240, {"{}": [INF]}),
        ("min_over_time(odd[1m])", 240, {"{}": [0.0]}),
        ('max_over_time(rate(x{a="1"}[2m])[5m:1m])', 300, {"{a=1}": [1 / 60]}),
        ("sum_over_time(vector(1)[5m:1m])", 600, {"{}": [6.0]}),
        ("sum(x)", 240, {"{}": [12.0]}),
        ("sum by (a) (x)", 240, {"{a=1}": [4.0], "{a=2}": [8.0]}),
        ("max without (b) (two)", 60, {"{a=1}": [2.0]}),
        ("stddev(x)", 240, {"{}": [2.0]}),
        ("topk(1, x)", 240, {"x{a=2}": [8.0]}),
        ("bottomk(1, x)", 240, {"x{a=1}": [4.0]}),
        ("quantile(0.25, x)", 240, {"{}": [5.0]}),
        ('count_values("v", two)', 60, {"{v=1}": [1.0], "{v=2}": [1.0]}),
        ("x * on (a) group_left (who) owner", 60, {"{a=1,who=ann}": [1.0]}),
        ("x > 3", 120, {"x{a=2}": [4.0]}),
        ("3 < x", 120, {"x{a=2}": [4.0]}),
        ("x > bool 3", 120, {"{a=1}": [0.0], "{a=2}": [1.0]}),
        ("x and on (a) owner", 60, {"x{a=1}": [1.0]}),
        ("x unless on (a) owner", 60, {"x{a=2}": [2.0]}),
        ('x{a="1"} or x', 60, {"x{a=1}": [1.0], "x{a=2}": [2.0]}),
        ("histogram_quantile(0.25, h)", 60, {"{}": [1.0]}),
        ("histogram_quantile(0.375, h)", 60, {"{}": [1.5]}),
        ("histogram_quantile(0.99, h)", 60, {"{}": [2.0]}),
        ("histogram_quantile(0.5, h)", 0, {"{}": [NAN]}),
        ("histogram_fraction(0.5, 1, h)", 60, {"{}": [0.125]}),
        ("histogram_fraction(1, 99, h)", 60, {"{}": [0.25]}),
        ("histogram_fraction(2, +Inf, h)", 60, {"{}": [0.5]}),
        ("histogram_fraction(3, 2, h)", 60, {"{}": [0.0]}),
        ("histogram_fraction(0, NaN, h)", 60, {"{}": [NAN]}),
        ("histogram_fraction(0, 1, h)", 0, {"{}": [NAN]}),
        ('histogram_quantiles(h, "q", 0.25, 1)', 60, {"{q=0.25}": [1.0], "{q=1.0}": [2.0]}),
        ("ts_of_first_over_time(reset[3m])", 240, {"{a=1}": [60.0]}),
        ("ts_of_last_over_time(gap[5m])", 500, {"{}": [420.0]}),
        ("ts_of_max_over_time(reset[5m])", 250, {"{a=1}": [120.0]}),
        ("ts_of_min_over_time(level[5m])", 300, {"{}": [300.0]}),
        ('label_replace(owner, "first", "$1", "who", "(.).*")', 60, {"owner{a=1,first=a,who=ann}": [1.0]}),
        ('label_join(owner, "both", "-", "a", "who")', 60, {"owner{a=1,both=1-ann,who=ann}": [1.0]}),
        ('absent(nothing{b="c"})', 60, {"{b=c}": [1.0]}),
        ("absent(x)", 60, {}),
        ("scalar(level)", 60, [5.0]),
        ("scalar(x)", 60, [NAN]),
        ("clamp(level, 1, 3)", 60, {"{}": [3.0]}),
        ("clamp(level, 3, 1)", 60, {}),
        ("round(level / 3, 0.5)", 60, {"{}": [1.5]}),
        ("day_of_week(vector(1789000000))", 0, {"{}": [4.0]}),
        ("days_in_month(vector(951782400))", 0, {"{}": [29.0]}),
        ("sgn(-level)", 60, {"{}": [-1.0]}),
    ],
)
def test_a_question_has_the_answer_worked_out_by_hand(text: str, time: float, expected: Any) -> None:
    found = evaluated(SOURCE, text, time)
    if isinstance(expected, list):
        expected, found = {"": expected}, {"": found}
    assert isinstance(found, dict)
    assert found.keys() == expected.keys()
    for labels, values in expected.items():
        assert found[labels] == pytest.approx(values, rel=1e-12, nan_ok=True)


def test_every_step_is_answered_on_its_own() -> None:
    assert evaluated(SOURCE, "gap", 240, 60, 5) == {"gap{}": [1.0, 1.0, None, 2.0, 2.0]}
    assert evaluated(SOURCE, 'x{a="1"} @ end() - x', 0, 60, 3) == {"{a=1}": [2.0, 1.0, 0.0]}
    assert evaluated(SOURCE, "topk(1, two) or ends", 60, 60, 2) == {
        "two{a=1,b=2}": [2.0, 2.0],
        "ends{}": [2.0, None],
    }


def test_quantiles_that_become_labels_are_the_same_at_every_step() -> None:
    with pytest.raises(FailedQueryError, match="same at all times"):
        evaluated(SOURCE, 'histogram_quantiles(h, "q", time() / 1000)', 60, 60, 2)


def test_the_end_is_the_one_asked_for_although_no_step_reaches_it() -> None:
    grid = Grid(0, 100 * SECOND, 2)
    value = Evaluation(SOURCE, grid, 180 * SECOND, 1000).run(parse('sum(x{a="1"} @ end())'))
    assert value.values.tolist() == [[3.0, 3.0]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("info(x)", "info()"),
        ("limitk(1, x)", "limitk()"),
        ("histogram_avg(x)", "histogram_avg()"),
        ("x + fill(0) owner", "fill()"),
        ("increase(x[5m] anchored)", "anchored"),
        ("x smoothed", "smoothed"),
        ("rate(x[5m + 1m])", "arithmetic in durations"),
        ("x offset (2 * 3)", "arithmetic in durations"),
        ("rate(x[step()])", "arithmetic in durations"),
        ('x{a="1" or a="2"}', "'or'"),
    ],
)
def test_what_is_not_supported_is_named(text: str, part: str) -> None:
    with pytest.raises(UnsupportedQueryError, match=r".*" + part.replace("(", r"\(").replace(")", r"\)")):
        evaluated(SOURCE, text, 60)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("x + on () x", "many-to-many"),
        ("two + on (a) owner", "many-to-one"),
        ("two * on (a) group_right owner", "unique on one side"),
        ("two * on (a) group_left (b) owner", "grouping labels must ensure unique"),
        ('label_replace(x, "a", "same", "a", ".*")', "same labelset"),
        ("topk(NaN, x)", "overflows int64"),
        ('histogram_quantile(0.5, {le!=""})', "same labelset"),
        ("holt_winters(x[5m], 1.5, 0.5)", "smoothing factor"),
        ('count_values("not a name", x)', "label name"),
    ],
)
def test_what_has_no_answer_on_this_data_says_why(text: str, part: str) -> None:
    with pytest.raises(FailedQueryError, match=part):
        evaluated(SOURCE, text, 60)


@pytest.mark.parametrize("text", ["1 ==", "abs(1)", "rate(x)", "foo(x)", "1 == 1", "x and 1", "{}", 'x{a=~"("}'])
def test_what_is_no_promql_is_refused(text: str) -> None:
    with pytest.raises(InvalidQueryError):
        evaluated(SOURCE, text, 60)


def test_a_vector_may_not_grow_past_the_limit() -> None:
    grid = Grid(0, SECOND, 1000)
    for text in ("x", "x[5m:1s]"):
        with pytest.raises(TooLargeError, match="too many samples"):
            Evaluation(SOURCE, grid, grid.end, 1000).run(parse(f"sum(max_over_time({text}))" if "[" in text else text))


@pytest.mark.parametrize("limit", [1, 7, 10**6])
def test_work_in_pieces_gives_the_same_answer(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    expected = [evaluated(SOURCE, text, 0, 30, 20) for text in PIECEWISE]
    monkeypatch.setattr(samples, "_REDUCED_AT_ONCE", limit)
    monkeypatch.setattr(samples, "_ELEMENTS_AT_ONCE", limit)
    assert [evaluated(SOURCE, text, 0, 30, 20) for text in PIECEWISE] == expected


PIECEWISE = ["sum_over_time(x[4m])", "quantile_over_time(0.3, x[4m])", "increase(reset[3m])", "max_over_time(gap[2m])"]
