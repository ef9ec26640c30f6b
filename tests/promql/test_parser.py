from contextlib import suppress

import pytest

from collector_processor.errors import InvalidQueryError
from grafana_datasource.matching import Matcher
from grafana_datasource.promql.parser import formatted, parse, parse_selector
from grafana_datasource.promql.syntax import (
    Aggregate,
    Binary,
    Call,
    Grouping,
    Negative,
    Number,
    Placed,
    Range,
    Selector,
    Subquery,
    with_matchers,
)

SECOND = 1_000_000_000
X = Matcher("__name__", "=", "x")


def shape(node: object) -> str:
    """Write the tree with parentheses, to see what binds tighter."""
    match node:
        case Number(value):
            return f"{value:g}"
        case Negative(operand):
            return f"(-{shape(operand)})"
        case Binary(symbol, left, right, is_bool):
            return f"({shape(left)}{symbol}{'bool ' if is_bool else ''}{shape(right)})"
        case _:
            return "x"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("1+2*3", "(1+(2*3))"),
        ("1-2-3", "((1-2)-3)"),
        ("2^3^2", "(2^(3^2))"),
        ("-2^2", "(-(2^2))"),
        ("-x * 2", "((-x)*2)"),
        ("1 + 2 > bool 2", "((1+2)>bool 2)"),
        ("x == 1", "(x==1)"),
        ("0x1F + .5 + 1e3", "((31+0.5)+1000)"),
        ("(1+2)*3 # said", "((1+2)*3)"),
        ("Inf + 1", "(inf+1)"),
        ("x or x and x unless x", "(xor((xandx)unlessx))"),
    ],
)
def test_operators_bind_as_in_prometheus(text: str, tree: str) -> None:
    assert shape(parse(text)) == tree


def test_a_selector_keeps_all_its_matchers() -> None:
    found = parse_selector("""m:x_1{a="1", b!='2', c=~`3|4`, "d.e"!~"5",}""")
    assert found == (
        Matcher("__name__", "=", "m:x_1"),
        Matcher("a", "=", "1"),
        Matcher("b", "!=", "2"),
        Matcher("c", "=~", "3|4"),
        Matcher("d_e", "!~", "5"),
    )


def test_a_quoted_name_of_opentelemetry_means_the_metric_and_label_as_served() -> None:
    assert parse_selector('{"http.server.duration", "http.route"="/"}') == (
        Matcher("__name__", "=", "http_server_duration"),
        Matcher("http_route", "=", "/"),
    )


def test_escapes_mean_what_they_mean_in_go_and_nothing_between_backticks() -> None:
    (_, matcher) = parse_selector(r'x{a="tab\t quote\" back\\ \x41 é \101"}')
    assert matcher.text == 'tab\t quote" back\\ A é A'
    (_, matcher) = parse_selector(r"x{a=~`\d+\.\"`}")
    assert matcher.text == r"\d+\.\""


def test_names_that_begin_like_numbers_or_words_of_the_language_are_names() -> None:
    for name in ("info", "nan_total", "infinity:rate", "by", "rate", "sum"):
        assert parse(name) == Selector((Matcher("__name__", "=", name),))


def test_time_is_read_from_offset_at_and_range() -> None:
    assert parse("x[5m] offset -1m") == Range(Selector((X,), Placed(None, -60 * SECOND)), 300 * SECOND)
    assert parse("x @ 1.5 offset 1h") == Selector((X,), Placed(1_500_000_000, 3600 * SECOND))
    assert parse("x[1h:5m] @ end()") == Subquery(Selector((X,)), 3600 * SECOND, 300 * SECOND, Placed("end"))
    assert parse("x[1h:] @ start()") == Subquery(Selector((X,)), 3600 * SECOND, None, Placed("start"))


def test_grouping_stands_before_or_behind() -> None:
    expected = Aggregate("topk", Selector((X,)), Grouping(("a",)), Number(2.0))
    assert parse("topk by (a) (2, x)") == parse("topk(2, x) by (a)") == expected
    assert parse("sum without (a) (x)") == Aggregate("sum", Selector((X,)), Grouping(("a",), is_without=True))


def test_added_matchers_reach_every_selector() -> None:
    wide = "abs(x) > 1 or sum(rate(x[5m])) - max_over_time(x[5m:1m]) * -x"
    assert with_matchers(parse(wide), (Matcher("a", "=", "b"),)) == parse(
        wide.replace("x", 'x{a="b"}').replace("ma" + 'x{a="b"}', "max")
    )


def test_a_query_is_formatted_over_several_lines_where_it_is_long() -> None:
    assert formatted("x  + x") == "x + x"
    assert formatted("sum by (a) (rate(x[5m])) / " * 4 + "x").count("\n") == 4


def test_the_same_text_is_parsed_once() -> None:
    assert parse("x + 1") is parse("x + 1")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 500 + "1" + ")" * 500,
        "-" * 5000 + "x",
        "1+" * 5000 + "1",
        "x{" + 'a="b",' * 3000 + "}",
        "abs(" * 200 + "x",
        "x @ -1",
        "x @ 1e20",
        "x @ 99999999999999",
        "x offset 999999y",
        "x[" + "9" * 40 + "s]",
        "`" * 99,
        '"' * 99,
        "x" * 100_000,
        "\x00",
        "x{a='\\ud800'}",
    ],
)
def test_hostile_queries_are_refused_or_answered_but_never_crash(text: str) -> None:
    with suppress(InvalidQueryError):
        parse(text)


def test_a_call_keeps_its_arguments_in_order() -> None:
    found = parse("clamp(x, 1, 2)")
    assert found == Call("clamp", (Selector((X,)), Number(1.0), Number(2.0)))
