import numpy as np

from collector_processor.detect.strain import CALM, STRAINED, Strain


def told(strain: Strain, *scores: tuple[int, float]) -> list[int]:
    series, score = zip(*scores, strict=True)
    rows: list[int] = strain.changed(np.array(series, np.int32), np.array(score)).tolist()
    return rows


def test_only_what_becomes_strained_or_calm_again_is_told() -> None:
    strain = Strain()
    assert told(strain, (0, 0.1), (3, STRAINED), (4, -2.0)) == [1, 2]
    assert told(strain, (0, 0.1), (3, 0.9), (4, -STRAINED)) == []
    assert told(strain, (3, (STRAINED + CALM) / 2), (4, 0.0)) == [1]
    assert told(strain, (3, CALM / 2)) == [0]


def test_what_has_no_score_stays_as_it_was() -> None:
    strain = Strain()
    assert told(strain, (1, float("nan"))) == []
    assert told(strain, (1, 1.0)) == [0]
    assert told(strain, (1, float("nan"))) == []
    assert told(strain, (1, 1.0)) == []


def test_nothing_is_no_change() -> None:
    assert Strain().changed(np.empty(0, np.int32), np.empty(0)).size == 0
