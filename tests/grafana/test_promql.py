from contextlib import suppress

import pytest

from collector_processor.errors import InvalidQueryError
from grafana_datasource.matching import Matcher
from grafana_datasource.promql import Binary, Negative, Number, Selector, parse, parse_selector, with_matchers


def shape(text: str) -> str:
    """Write the tree with parentheses, to see what binds tighter."""
    return _shape(parse(text))


def _shape(node: object) -> str:
    match node:
        case Number(value):
            return f"{value:g}"
        case Negative(operand):
            return f"(-{_shape(operand)})"
        case Binary(symbol, left, right, is_bool):
            return f"({_shape(left)}{symbol}{'bool ' if is_bool else ''}{_shape(right)})"
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
    ],
)
def test_operators_bind_as_in_prometheus(text: str, tree: str) -> None:
    assert shape(text) == tree


def test_a_selector_keeps_all_its_matchers() -> None:
    found = parse_selector("""m:x_1{a="1", b!='2', c=~`3|4`, "d.e"!~"5",}""")
    assert found == (
        Matcher("__name__", "=", "m:x_1"),
        Matcher("a", "=", "1"),
        Matcher("b", "!=", "2"),
        Matcher("c", "=~", "3|4"),
        Matcher("d_e", "!~", "5"),
    )


def test_a_quoted_metric_name_may_stand_in_the_braces() -> None:
    assert parse_selector('{"foreband_yhat", a="1"}') == (
        Matcher("__name__", "=", "foreband_yhat"),
        Matcher("a", "=", "1"),
    )


def test_escapes_mean_what_they_mean_in_go() -> None:
    (_, matcher) = parse_selector(r'x{a="tab\t quote\" back\\ \x41 é \101"}')
    assert matcher.text == 'tab\t quote" back\\ A é A'


def test_names_that_begin_like_inf_or_nan_are_names() -> None:
    for name in ("info", "nan_total", "infinity:rate"):
        assert parse(name) == Selector((Matcher("__name__", "=", name),))


def test_added_matchers_reach_every_selector() -> None:
    narrowed = with_matchers(parse("abs(x) > 1"), (Matcher("a", "=", "b"),))
    assert narrowed == parse('abs(x{a="b"}) > 1')


@pytest.mark.parametrize(
    "text", ["(" * 500 + "1" + ")" * 500, "-" * 5000 + "1", "1+" * 5000 + "1", "x{" + 'a="b",' * 3000 + "}"]
)
def test_hostile_queries_are_refused_or_answered_but_never_crash(text: str) -> None:
    with suppress(InvalidQueryError):
        parse(text)
