"""A real Prometheus holds the same samples; every question of the corpus has the same answer."""

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from flask.testing import FlaskClient

from collector_processor.clock import ManualClock
from collector_processor.store.sqlite import open_reader
from grafana_datasource.app import Settings, create_app
from tests.promql.corpus import expressions
from tests.promql.samples import END, MS, START, labels_of, tracks, write_store
from tests.servers.prometheus import empty_prometheus
from tests.servers.remote_write import push

pytestmark = pytest.mark.server

Ask = Callable[[str, dict[str, str]], Any]

_S = START // 1000
TIMES = {
    "at a sample": _S + 7200,
    "between samples": _S + 6007.5,
    "five minutes after the last sample of a gap": _S + 59 * 60 + 300,
    "a millisecond later": _S + 120 * 30 - 30 + 300.001,
    "after the end": END // 1000 + 299,
    "in a hole": _S + 104 * 60 + 200,
}
RANGES = {
    "an hour by the minute": (_S + 3600, _S + 7200, 60),
    "odd steps": (_S + 5403.25, _S + 8013, 97.5),
    "over the edges": (_S - 700, END // 1000 + 900, 421),
}


@pytest.fixture(scope="module")
def prometheus(program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    with empty_prometheus(program("prometheus"), tmp_path_factory.mktemp("prometheus")) as server:
        named = [{"__name__": name, **labels} for name, labels in labels_of()]
        push(server.url, [(labels, t.time, t.value) for labels, t in zip(named, tracks(), strict=True)])
        yield partial(_ask_over_http, server.url)


@pytest.fixture(scope="module")
def foreband(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    directory: Path = tmp_path_factory.mktemp("foreband") / "store"
    write_store(directory)
    app = create_app(Settings(partial(open_reader, directory), clock=ManualClock(END * MS)))
    yield partial(_ask_in_process, app.test_client())
    app.extensions["foreband"].close()


@pytest.mark.parametrize("moment", TIMES)
def test_instant_queries_have_the_answers_of_prometheus(foreband: Ask, prometheus: Ask, moment: str) -> None:
    times = {"time": repr(TIMES[moment])}
    wrong = [found for text in expressions() if (found := difference("query", text, times, foreband, prometheus))]
    assert not wrong, _report(wrong)


@pytest.mark.parametrize("span", RANGES)
def test_range_queries_have_the_answers_of_prometheus(foreband: Ask, prometheus: Ask, span: str) -> None:
    times = dict(zip(("start", "end", "step"), map(repr, RANGES[span]), strict=True))
    asked = [difference("query_range", text, times, foreband, prometheus) for text in expressions()]
    wrong = [found for found in asked if found]
    assert not wrong, _report(wrong)


def difference(route: str, text: str, times: dict[str, str], foreband: Ask, prometheus: Ask) -> str:
    """Say where the two answers to a question differ, nothing where they do not."""
    ours, theirs = (ask(route, {"query": text, **times}) for ask in (foreband, prometheus))
    if theirs["status"] == "error" or ours["status"] == "error":
        said = [f"{each.get('errorType')}: {each.get('error')}" for each in (ours, theirs)]
        alike = ours.get("errorType") == theirs.get("errorType")
        return "" if alike else f"{text}\n    ours: {said[0]}\n    theirs: {said[1]}"
    found, expected = _rows(ours["data"]), _rows(theirs["data"])
    if found.keys() != expected.keys():
        odd = sorted(map(str, found.keys() ^ expected.keys()))[:4]
        return f"{text}\n    {len(found)} rows of ours, {len(expected)} of theirs, only one side has {odd}"
    for key, samples in expected.items():
        if len(samples) != len(found[key]) or [at for at, _ in samples] != [at for at, _ in found[key]]:
            return f"{text}\n    {key}: {len(found[key])} samples of ours, {len(samples)} of theirs"
        for (at, mine), (_, value) in zip(found[key], samples, strict=True):
            if not _is_close(float(mine), float(value)):
                return f"{text}\n    {key} at {at}: {mine} is not {value}"
    return ""


def _rows(data: dict[str, Any]) -> dict[str, list[Any]]:
    """Return samples by result type and label set."""
    kind, result = data["resultType"], data["result"]
    if kind in {"scalar", "string"}:
        return {kind: [result]}
    rows = {
        f"{kind} {json.dumps(row['metric'], sort_keys=True)}": row.get("values") or [row["value"]] for row in result
    }
    assert len(rows) == len(result)
    return rows


def _is_close(ours: float, theirs: float) -> bool:
    if math.isnan(ours) or math.isnan(theirs):
        return math.isnan(ours) and math.isnan(theirs)
    return ours == theirs or math.isclose(ours, theirs, rel_tol=1e-9)


def _report(wrong: list[str]) -> str:
    return f"{len(wrong)} answers differ\n" + "\n".join(wrong)


def _ask_over_http(url: str, route: str, params: dict[str, str]) -> Any:
    try:
        with urlopen(f"{url}/api/v1/{route}", urlencode(params).encode(), timeout=30) as response:
            return json.load(response)
    except HTTPError as error:
        return json.load(error)


def _ask_in_process(client: FlaskClient, route: str, params: dict[str, str]) -> Any:
    return json.loads(client.post(f"/prom/api/v1/{route}", data=params).data)
