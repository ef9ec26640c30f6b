"""Prometheus' own tests of PromQL, asked of our evaluator."""

import math

import numpy as np
import pytest

from collector_processor.errors import InvalidQueryError
from grafana_datasource.promql.engine import Evaluation
from grafana_datasource.promql.parser import parse
from grafana_datasource.promql.vector import Vector
from grafana_datasource.query import Grid
from tests.promql.script import SCRIPTS, Answer, Question, questions

NAMES = sorted(path.name for path in SCRIPTS.glob("*.test"))


@pytest.mark.parametrize("script", NAMES)
def test_questions_of_prometheus_have_the_answers_of_prometheus(script: str) -> None:
    asked = list(questions(script))
    wrong = [
        f"{question}: {_asked(question)} is not {question.answer}" for question in asked if not _is_right(question)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_question_is_overlooked() -> None:
    written = [path.read_text().splitlines() for path in SCRIPTS.glob("*.test")]
    expected = sum(line.startswith("eval") for lines in written for line in lines)
    assert sum(1 for name in NAMES for _ in questions(name)) == expected == 566


def _is_right(question: Question) -> bool:
    answer = _asked(question)
    if answer is None or question.answer is None:
        return answer is question.answer
    ours, theirs = (found if question.is_ordered else _by_labels(found) for found in (answer, question.answer))
    alike = (a[0] == b[0] and _is_close(a[1], b[1]) for a, b in zip(ours, theirs, strict=False))
    return len(ours) == len(theirs) and all(alike)


def _asked(question: Question) -> Answer | None:
    """Return what the evaluator answers, nothing where it refuses."""
    grid = Grid.instant(question.time)
    try:
        value = Evaluation(question.source, grid, grid.end, 1_000_000).run(parse(question.query))
    except InvalidQueryError:
        return None
    if isinstance(value, Vector):
        value = value.compact()
        return list(zip(map(dict, value.labels), value.values[:, 0].tolist(), strict=True))
    assert isinstance(value, np.ndarray)
    return [({}, float(value[0]))]


def _by_labels(answer: Answer) -> Answer:
    return sorted(answer, key=lambda sample: sorted(sample[0].items()))


def _is_close(ours: float, theirs: float) -> bool:
    return ours == theirs or (math.isnan(ours) and math.isnan(theirs)) or math.isclose(ours, theirs, rel_tol=1e-6)
