import csv
import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from collector_processor.cli import cli
from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.evaluation.causes import evaluate_causes, read_cases
from collector_processor.evaluation.dataset import DatasetError
from collector_processor.evaluation.entities import LabelledEntity, LabelledIncident, read_entities
from collector_processor.evaluation.incident_tables import incident_figures
from collector_processor.evaluation.incidents import count_incidents
from collector_processor.telemetry.incident import Incident
from tests.store.batches import incident

START = 19_000 * DAY
STEP = 5 * MINUTE


def entity(*labels: tuple[int, int]) -> LabelledEntity:
    """Return a server of a week, labelled in minutes from its second day on."""
    begin = START + DAY
    events = tuple(
        LabelledIncident(begin + a * MINUTE, begin + b * MINUTE, frozenset(("calls", "other"))) for a, b in labels
    )
    time = np.arange(START, START + 8 * DAY + 1, STEP)
    return LabelledEntity("a", "d", STEP, begin, events, ("calls", "other"), time, np.zeros((time.size, 2)))


def opened(minute: int) -> Incident:
    return replace(incident(str(minute), START, None), opened_unix_nano=START + DAY + minute * MINUTE)


def test_an_incident_counts_by_when_it_was_opened() -> None:
    counts = count_incidents(entity((60, 120), (300, 360)), [opened(60), opened(90), opened(200), opened(-5)])
    assert (counts.labels, counts.found, counts.fragments, counts.false) == (2, 1, 2, 1)
    assert counts.overlaps == (0.5,)
    figures = incident_figures([(entity(), counts)])
    assert (figures["recall"], figures["precision"], figures["f1"]) == (0.5, 0.5, 0.5)
    assert figures["false_per_server_week"] == pytest.approx(1.0, abs=0.01)
    assert (figures["fragments"], figures["jaccard"]) == (2.0, 0.5)


def test_where_there_is_nothing_to_divide_by_there_is_no_figure() -> None:
    counts = count_incidents(entity(), [])
    assert incident_figures([(entity(), counts)])["recall"] is None


def write_server(directory: Path) -> None:
    """Write a server of three days whose metrics all jump for an hour in the third."""
    time = START + 15 * MINUTE * np.arange(3 * 96)
    rng = np.random.default_rng(5)
    jump = (time >= START + 2 * DAY + 12 * HOUR) & (time < START + 2 * DAY + 13 * HOUR)
    rows = [[*(10.0 + rng.normal(0.0, 0.1, 4) + 8.0 * is_jump)] for is_jump in jump]
    directory.mkdir()
    with gzip.open(directory / "one.csv.gz", "wt", newline="") as file:
        csv.writer(file).writerow(["timestamp", "a", "b", "c", "d"])
        csv.writer(file).writerows([_text(int(t)), *row] for t, row in zip(time, rows, strict=True))
    label = {"start": _text(START + 2 * DAY + 12 * HOUR), "end": _text(START + 2 * DAY + 13 * HOUR)}
    entry = {
        "step_s": 900,
        "eval_from": _text(START + 2 * DAY),
        "dataset": "made",
        "labelled": "entity windows",
        "incidents": [{**label, "metrics": ["a", "b", "c", "d"]}],
    }
    (directory / "labels.json").write_text(json.dumps({"series": {"one.csv.gz": entry}}))


def _text(unix_nano: int) -> str:
    return str(np.datetime64(unix_nano, "ns").astype("datetime64[s]")) + "Z"


def test_the_command_replays_servers_and_counts_their_incidents(tmp_path: Path) -> None:
    write_server(tmp_path / "data")
    (server,) = read_entities(tmp_path / "data")
    assert (server.metrics, server.value.shape) == (("a", "b", "c", "d"), (288, 4))
    figures = tmp_path / "figures.json"
    arguments = [
        f"--data={tmp_path / 'data'}",
        f"--work={tmp_path / 'work'}",
        f"--json={figures}",
        "--set=forecast.refit_interval=1d",
    ]
    for _ in range(2):  # the second time nothing is replayed
        result = CliRunner().invoke(cli, ["evaluate", *arguments], catch_exceptions=False)
        assert result.exit_code == 0
        found = json.loads(figures.read_text())["incidents"]
        assert (found["found"], found["incidents"], found["f1"], found["jaccard"]) == (1, 1, 1.0, 1.0)


def write_case(directory: Path, cause: str) -> None:
    """Write a case in which a shop, what it calls and what that calls become slow together."""
    heads: list[list[object]] = [
        ["microservice", "web", "orders", "db"],
        ["metric", "latency", "latency", "latency"],
        ["statistic", "Average", "Average", "Average"],
        ["unix_timestamp", "", "", ""],
    ]
    rng = np.random.default_rng(1)
    usual: list[list[object]] = [[300 * row, *(0.1 + rng.normal(0.0, 0.002, 3)).tolist()] for row in range(60)]
    slow: list[list[object]] = [
        [100_000 + 300 * row, *([0.1] * 3 if row < 2 else [0.62, 0.61, 0.6])] for row in range(5)
    ]
    (directory / "noissue").mkdir(parents=True)
    (directory / "test" / "one").mkdir(parents=True)
    for place, rows in ((directory / "noissue", usual), (directory / "test" / "one", slow)):
        with (place / "metrics.csv").open("w", newline="") as file:
            csv.writer(file).writerows([*heads, *rows])
    graph: list[list[object]] = [
        ["", "web", "orders", "db"],
        ["web", 0.0, 1.0, 0.0],
        ["orders", 0.0, 0.0, 1.0],
        ["db", 0.0, 0.0, 0.0],
    ]
    with (directory / "graph.csv").open("w", newline="") as file:
        csv.writer(file).writerows(graph)
    target = {"node": "web", "timestamp": 100_600}
    case = {"dataset": "made", "target": target, "root_cause": {"node": cause}}
    (directory / "rca_labels.json").write_text(json.dumps({"cases": {"test/one": case}}))


def test_a_cause_that_is_named_first_is_one_and_calm_names_none(tmp_path: Path) -> None:
    write_case(tmp_path / "right", "db")
    found = evaluate_causes(read_cases(tmp_path / "right"), late=0)
    assert (found.cases, found.accuracy, found.average) == (1, (1.0, 1.0, 1.0), 1.0)
    assert (found.windows, found.specificity) == (30, 1.0)
    write_case(tmp_path / "wrong", "somebody")
    assert evaluate_causes(read_cases(tmp_path / "wrong"), late=0).accuracy == (0.0, 0.0, 0.0)


def test_the_command_prints_both_moments(tmp_path: Path) -> None:
    write_case(tmp_path / "data", "db")
    result = CliRunner().invoke(cli, ["evaluate", f"--data={tmp_path / 'data'}", f"--work={tmp_path / 'work'}"])
    assert result.exit_code == 0
    assert " ".join(result.output.split()).count("s after") == 2


def test_what_is_not_as_its_labels_say_is_named(tmp_path: Path) -> None:
    write_case(tmp_path / "data", "db")
    (tmp_path / "data" / "graph.csv").unlink()
    with pytest.raises(DatasetError, match="test/one"):
        read_cases(tmp_path / "data")
