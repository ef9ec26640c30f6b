import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.store import codec
from collector_processor.store.codec import decode_column, encode_column, join, seal, split, unseal
from collector_processor.store.faults import DamagedStoreError
from collector_processor.store.rows import last_wins, locate
from collector_processor.store.verdict_codec import decode_verdicts, encode_verdicts, rounded
from collector_processor.telemetry.points import Int32, Int64
from collector_processor.telemetry.verdict import VerdictBatch
from tests.store.batches import same_verdicts

bit_patterns = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40)
whole_numbers = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40)
any_float = st.floats(width=64)
pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=30)


@pytest.fixture(params=["pcodec", "zlib"], scope="module")
def config(request: pytest.FixtureRequest) -> object:
    return codec._PCODEC_CONFIG if request.param == "pcodec" else None


@given(bits=bit_patterns)
def test_every_bit_pattern_survives_compression(config: object, bits: list[int]) -> None:
    column = np.array(bits, np.uint64).view(np.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "_PCODEC_CONFIG", config)
        packed = encode_column(column)
        assert decode_column(packed, np.float64).tobytes() == column.tobytes()
    assert len(packed) <= column.nbytes + 1


@given(numbers=whole_numbers)
def test_every_whole_number_survives_compression(config: object, numbers: list[int]) -> None:
    column = np.array(numbers, np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "_PCODEC_CONFIG", config)
        assert decode_column(encode_column(column), np.int64).tolist() == numbers


def test_columns_written_without_pcodec_are_read_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    column = np.round(np.sin(np.arange(500.0)), 2)
    monkeypatch.setattr(codec, "_PCODEC_CONFIG", None)
    packed = encode_column(column)
    monkeypatch.undo()
    assert packed[0] != encode_column(column)[0]
    assert decode_column(packed, np.float64).tolist() == column.tolist()


def test_a_codec_that_is_missing_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = encode_column(np.round(np.sin(np.arange(500.0)), 2))
    monkeypatch.setattr(codec, "_PCODEC_CONFIG", None)
    with pytest.raises(DamagedStoreError, match="pcodec"):
        decode_column(packed, np.float64)


def test_a_minute_of_a_smooth_gauge_takes_two_bytes() -> None:
    column = np.round(50 + 20 * np.sin(np.arange(1440) / 229), 2)
    assert len(encode_column(column)) < 2 * column.size


@given(body=st.binary(max_size=50), key=st.integers(0, 2**64), at=st.integers(0, 53 * 8))
def test_a_seal_breaks_with_any_flipped_bit_and_under_another_key(body: bytes, key: int, at: int) -> None:
    sealed = bytearray(seal(body, key))
    assert unseal(bytes(sealed), key) == body
    with pytest.raises(DamagedStoreError):
        unseal(bytes(sealed), key + 1)
    sealed[at // 8 % len(sealed)] ^= 1 << at % 8
    with pytest.raises(DamagedStoreError):
        unseal(bytes(sealed), key)


@given(sections=st.lists(st.binary(max_size=300), max_size=5))
def test_sections_come_apart_as_they_were_joined(sections: list[bytes]) -> None:
    assert [bytes(section) for section in split(join(sections))] == sections


rows_of_floats = st.lists(st.tuples(*[any_float] * 5, st.sampled_from([-1, 0, 1])), min_size=1, max_size=20)


@given(rows=rows_of_floats)
def test_any_verdict_is_kept_exactly_once_rounded(rows: list[tuple[float, ...]]) -> None:
    value, yhat, lower, upper, score, anomaly = (np.array(column) for column in zip(*rows, strict=True))
    kept = rounded(value, VerdictBatch(yhat, lower, upper, score, anomaly.astype(np.int8)))
    assert same_verdicts(rounded(value, kept), kept)
    assert same_verdicts(decode_verdicts(encode_verdicts(value, kept), value), kept)


@given(
    center=st.floats(-1e15, 1e15),
    half=st.floats(1e-3, 1e6),
    parts=st.lists(st.tuples(st.floats(-3, 3), st.floats(0.5, 2)), min_size=1, max_size=9),
)
def test_rounding_is_far_below_the_width_of_the_band(
    center: float, half: float, parts: list[tuple[float, float]]
) -> None:
    shift, stretch = (np.array(column) for column in zip(*parts, strict=True))
    value = center + shift * half
    yhat = np.full(value.size, center)
    sent = VerdictBatch(yhat, yhat - half, yhat + stretch * half, shift, np.zeros(value.size, np.int8))
    kept = rounded(value, sent)
    for name in ("yhat", "lower", "upper"):
        np.testing.assert_allclose(getattr(kept, name), getattr(sent, name), rtol=0, atol=half * 1e-6)


def test_absent_verdicts_take_nothing() -> None:
    assert encode_verdicts(np.ones(1000), VerdictBatch.absent(1000)) is None


def test_scores_and_calm_anomalies_take_almost_nothing() -> None:
    value = 50 + np.random.default_rng(1).normal(0, 1, 1440)
    yhat = np.full(1440, 50.0)
    score = (value - yhat) / 5
    calm = VerdictBatch(yhat, yhat - 5, yhat + 5, score, np.zeros(1440, np.int8))
    packed = encode_verdicts(value, rounded(value, calm))
    assert packed is not None
    assert len(packed) < 150


@given(rows=pairs)
def test_sorting_keeps_the_last_of_equal_rows(rows: list[tuple[int, int]]) -> None:
    series, time = (np.array([row[k] for row in rows], dtype) for k, dtype in ((0, np.int32), (1, np.int64)))
    value = np.arange(len(rows), dtype=np.float64)
    oracle = {row: float(number) for number, row in enumerate(rows)}
    found = last_wins((series, time, value))
    assert list(zip(*(column.tolist() for column in found), strict=True)) == [(*k, oracle[k]) for k in sorted(oracle)]


@given(held=pairs, asked=pairs)
def test_locating_finds_the_last_place_of_each_row(held: list[tuple[int, int]], asked: list[tuple[int, int]]) -> None:
    def columns(rows: list[tuple[int, int]]) -> tuple[Int32, Int64]:
        return np.array([r[0] for r in rows], np.int32), np.array([r[1] for r in rows], np.int64)

    oracle = {row: number for number, row in enumerate(held)}
    assert locate(*columns(held), *columns(asked)).tolist() == [oracle.get(row, -1) for row in asked]
