import re
from pathlib import Path

import pytest

from grafana_datasource.dialects import DIALECTS
from grafana_datasource.families import DERIVED
from grafana_datasource.promql.aggregate import SIMPLE
from grafana_datasource.promql.functions import FUNCTIONS
from tests.promql.corpus import expressions

NEWER = {
    "first_over_time",
    "mad_over_time",
    "histogram_fraction",
    "histogram_quantiles",
    *(f"ts_of_{which}_over_time" for which in ("first", "last", "max", "min")),
}
"""Functions that Debian's Prometheus does not have."""

PAGE = (Path(__file__).parents[2] / "docs" / "promql.md").read_text()


@pytest.mark.parametrize("name", [*FUNCTIONS, *SIMPLE, *(family.metric for family in (*DERIVED, *DIALECTS))])
def test_everything_that_is_answered_stands_in_the_documentation(name: str) -> None:
    assert re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", PAGE), name


@pytest.mark.parametrize("name", sorted({*FUNCTIONS, *SIMPLE} - NEWER))
def test_every_function_is_asked_of_prometheus_too(name: str) -> None:
    older = {"double_exponential_smoothing": "holt_winters", "sort_by_label": "sort", "sort_by_label_desc": "sort_desc"}
    assert any(re.search(rf"\b{older.get(name, name)}\b", text) for text in expressions()), name


def test_the_corpus_is_as_large_as_it_is_said_to_be() -> None:
    assert len(expressions()) >= 850
