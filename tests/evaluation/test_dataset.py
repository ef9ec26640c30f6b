import json
from pathlib import Path

import numpy as np
import pytest

from collector_processor.clock import HOUR, MINUTE
from collector_processor.evaluation.dataset import DatasetError, event_windows, read_dataset
from tests.evaluation.labelled import labelled, load, with_faults, write


def test_what_was_written_is_read_and_named_alike(tmp_path: Path) -> None:
    series = with_faults(0, "a/one.csv")
    (found,) = read_dataset(write(tmp_path, series))
    assert found.digest == series.digest
    assert found.events == series.events
    assert np.array_equal(found.value, series.value)


def test_a_directory_below_the_labels_chooses_its_own_series(tmp_path: Path) -> None:
    write(tmp_path, with_faults(0, "a/one.csv"), with_faults(1, "b/two.csv"))
    assert [s.name for s in read_dataset(tmp_path / "b")] == ["b/two.csv"]


def test_another_label_is_another_series() -> None:
    time, value = load(1)
    assert labelled(time, value).digest != labelled(time, value, (0, HOUR)).digest


def test_an_exact_label_allows_two_steps_before_and_three_after() -> None:
    (exact,) = event_windows([(HOUR, 2 * HOUR)], MINUTE, is_exact=True)
    (wide,) = event_windows([(HOUR, 2 * HOUR)], MINUTE, is_exact=False)
    assert (exact.first, exact.last) == (HOUR - 2 * MINUTE, 2 * HOUR + 3 * MINUTE)
    assert (wide.first, wide.last) == (HOUR, 2 * HOUR)


def test_files_of_many_metrics_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, with_faults(0, "one.csv"))
    labels = json.loads((tmp_path / "labels.json").read_text())
    labels["series"]["many.csv.gz"] = labels["series"]["one.csv"] | {"labelled": "entity windows"}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    assert [s.name for s in read_dataset(tmp_path)] == ["one.csv"]


def test_unusable_data_is_refused_by_the_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no labels\.json"):
        read_dataset(tmp_path)
    write(tmp_path, with_faults(0, "one.csv"))
    for broken in ("timestamp,value\n2026-01-01T00:00:00,1.0\n", "timestamp,value\n2026-01-01T00:00:00Z,x\n"):
        (tmp_path / "one.csv").write_text(broken)
        with pytest.raises(DatasetError, match=r"one\.csv"):
            read_dataset(tmp_path)
    (tmp_path / "one.csv").unlink()
    with pytest.raises(DatasetError, match=r"one\.csv"):
        read_dataset(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no series below"):
        read_dataset(tmp_path / "empty")
