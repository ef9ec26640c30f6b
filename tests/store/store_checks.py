"""What every store promises; a store's tests subclass `StoreChecks` and give it the fixture `stores`."""

from dataclasses import replace
from typing import Protocol

import numpy as np
import pytest

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.store.base import (
    Commit,
    OutboxItem,
    RequestReceipt,
    SeriesReader,
    SeriesWriter,
    models_in_turn,
)
from collector_processor.telemetry.band import BAND_DTYPE, BandStates, unknown_bands
from collector_processor.telemetry.episode import DRIFT, LEVEL_SHIFT, Drift, Shift
from collector_processor.telemetry.exemplar import TraceLink
from collector_processor.telemetry.feedback import Answer, Feedback
from collector_processor.telemetry.points import EventBatch, PointBatch
from collector_processor.telemetry.verdict import VerdictBatch
from tests.store.batches import (
    FOREVER,
    START,
    episode,
    event_batch,
    ids,
    incident,
    maintain_all,
    model,
    outbox_item,
    points,
    read_all,
    same_bits,
    same_verdicts,
    series_key,
    tick,
    verdicts_for,
)

SPECIAL = (float("nan"), float("inf"), float("-inf"), -0.0, 0.0, 5e-324, -5e-324, 1.7976931348623157e308, 1e300, 0.1)


class Stores(Protocol):
    """One store that can be opened again and again; the fixture closes what is open in the end."""

    def writer(self) -> SeriesWriter:
        """Open its writer; an earlier one was closed."""
        ...

    def reader(self) -> SeriesReader:
        """Open a reader beside the writer."""
        ...


class StoreChecks:
    """The contract of `collector_processor.store.base`, one promise a test."""

    def test_a_new_store_is_empty(self, stores: Stores) -> None:
        store = stores.writer()
        assert store.catalog() == []
        assert len(store.read_points(ids(0, 1), 0, FOREVER)) == 0
        assert len(read_all(store).verdicts) == 0
        assert len(store.last_points()) == 0
        assert store.first_times()[0].size == 0
        assert len(store.events()) == 0
        assert store.episodes(0, FOREVER) == []
        assert store.open_episodes() == []
        assert store.models() == []
        assert store.receipts(0) == []
        assert store.bands().shape == (0,)
        assert store.bands().dtype == BAND_DTYPE
        assert store.blob("detector") is None
        assert store.outbox.waiting(after=0, limit=10) == []
        assert store.outbox.sizes() == {}
        assert not store.existing(points([(0, START, 1.0)]))[0].any()

    def test_every_float_comes_back_bit_by_bit(self, stores: Stores) -> None:
        sent = points([(0, START + k * MINUTE, value) for k, value in enumerate(SPECIAL)])
        store = stores.writer()
        store.commit(Commit(points=sent))
        assert same_bits(store.read_points(ids(0), 0, FOREVER), sent)
        store.commit(tick(0, start=START + DAY))
        maintain_all(store, START + 2 * DAY)
        assert same_bits(store.read_points(ids(0), 0, START + HOUR), sent)

    def test_reading_is_sorted_by_series_and_time(self, stores: Stores) -> None:
        store = stores.writer()
        store.commit(Commit(points=points([(2, START + 5, 1.0), (1, START + 9, 2.0), (2, START + 1, 3.0)])))
        store.commit(Commit(points=points([(1, START + 2, 4.0)])))
        found = store.read_points(ids(2, 1), 0, FOREVER)
        assert found.series.tolist() == [1, 1, 2, 2]
        assert (found.time_unix_nano - START).tolist() == [2, 9, 1, 5]
        assert found.value.tolist() == [4.0, 2.0, 3.0, 1.0]

    @pytest.mark.parametrize("rest", [False, True])
    def test_a_range_has_its_start_and_not_its_end(self, stores: Stores, rest: bool) -> None:
        store = stores.writer()
        store.commit(Commit(points=points([(0, START + k, float(k)) for k in range(5)])))
        if rest:
            store.commit(tick(0, start=START + DAY))
            maintain_all(store, START + DAY)
        assert store.read_points(ids(0), START + 1, START + 3).value.tolist() == [1.0, 2.0]
        assert store.read_judged(ids(0), START + 1, START + 3).points.value.tolist() == [1.0, 2.0]
        assert len(store.read_points(ids(0), START + 3, START + 3)) == 0

    def test_unknown_series_have_no_points_and_asking_creates_none(self, stores: Stores) -> None:
        store = stores.writer()
        store.commit(tick(0))
        assert len(store.read_points(ids(77, 1 << 25, -3), 0, FOREVER)) == 0
        assert store.last_points().series.tolist() == [0, 1, 2, 3, 4]

    def test_a_resent_batch_changes_nothing(self, stores: Stores) -> None:
        store = stores.writer()
        for _ in range(3):
            store.commit(tick(0))
        assert len(read_all(store).points) == 5
        maintain_all(store, START)
        assert len(read_all(store).points) == 5

    def test_the_last_write_of_a_time_wins(self, stores: Stores) -> None:
        store = stores.writer()
        store.commit(Commit(points=points([(0, START, 1.0), (0, START, 2.0)])))
        assert store.read_points(ids(0), 0, FOREVER).value.tolist() == [2.0]
        store.commit(Commit(points=points([(0, START, 3.0)])))
        assert store.read_points(ids(0), 0, FOREVER).value.tolist() == [3.0]
        assert store.last_points().value.tolist() == [3.0]
        assert store.existing(points([(0, START, 0.0)]))[1].tolist() == [3.0]

    def test_late_points_join_what_is_long_at_rest(self, stores: Stores) -> None:
        store = stores.writer()
        for hour in range(60):
            store.commit(tick(hour * 60))
            maintain_all(store, START + hour * HOUR)
        store.commit(Commit(points=points([(0, START + MINUTE, -1.0), (1, START, -2.0)])))
        store.commit(Commit(points=points([(9, START + 3 * HOUR, -3.0)])))
        before = read_all(store)
        assert len(before.points) == 302
        store.commit(tick(80 * 60))
        maintain_all(store, START + 80 * HOUR)
        after = store.read_judged(np.arange(64, dtype=np.int32), 0, START + 80 * HOUR)
        assert same_bits(before.points, after.points)
        assert same_verdicts(before.verdicts, after.verdicts)
        assert store.read_points(ids(1), START, START + 1).value.tolist() == [-2.0]

    @pytest.mark.parametrize("hours", [0, 3, 40])
    def test_existing_tells_which_points_are_stored_and_their_value(self, stores: Stores, hours: int) -> None:
        store = stores.writer()
        store.commit(Commit(points=points([(0, START, 1.5), (3, START + 1, float("nan"))])))
        store.commit(tick(0, start=START + hours * HOUR + MINUTE))
        maintain_all(store, START + hours * HOUR + MINUTE)
        asked = [(3, START + 1, 0.0), (0, START + 1, 0.0), (0, START, 9.0), (0, START, 1.5), (50, START, 0.0)]
        found, value = store.existing(points(asked))
        assert found.tolist() == [True, False, True, True, False]
        assert value[2] == value[3] == 1.5
        assert np.isnan(value[[0, 1, 4]]).all()

    def test_existing_of_no_points_is_empty(self, stores: Stores) -> None:
        found, value = stores.writer().existing(PointBatch.empty())
        assert found.shape == value.shape == (0,)

    def test_first_and_last_points_are_known_wherever_they_lie(self, stores: Stores) -> None:
        store = stores.writer()
        store.commit(Commit(points=points([(4, START, 4.0), (2, START + 2, 2.0)])))
        for hour in range(30):
            store.commit(Commit(points=points([(2, START + hour * HOUR + 3, hour + 0.5)])))
            maintain_all(store, START + hour * HOUR)
        last = store.last_points()
        assert same_bits(last, points([(2, START + 29 * HOUR + 3, 29.5), (4, START, 4.0)]))
        series, time = store.first_times()
        assert series.tolist() == [2, 4]
        assert time.tolist() == [START + 2, START]

    @pytest.mark.parametrize("size", [1e12, -1e12, 1.0, 1e-300, 1e300, 0.0])
    @pytest.mark.parametrize("half", [1.0, 1e-9, 1e6])
    def test_a_band_keeps_its_width_at_any_magnitude(self, stores: Stores, size: float, half: float) -> None:
        value = np.array([size, size + half, size - 2 * half])
        yhat = value + np.array([0.3, -0.7, 1.1]) * half
        sent = VerdictBatch(
            yhat, yhat - half, yhat + 2 * half, np.array([-0.3, 0.35, -3.1]), np.array([0, 0, -1], np.int8)
        )
        store = stores.writer()
        store.commit(Commit(points=PointBatch(ids(0, 1, 2), np.full(3, START), value), verdicts=sent))
        for _ in range(2):
            found = store.read_judged(ids(0, 1, 2), 0, START + 1).verdicts
            for name in ("yhat", "lower", "upper"):
                np.testing.assert_allclose(getattr(found, name), getattr(sent, name), rtol=1e-15, atol=half * 1e-6)
            np.testing.assert_allclose(found.score, sent.score, rtol=1e-5, atol=1e-5)
            assert found.anomaly.tolist() == [0, 0, -1]
            store.commit(tick(0, start=START + DAY))
            maintain_all(store, START + DAY)

    def test_a_band_around_a_gap_is_kept(self, stores: Stores) -> None:
        value = np.array([np.nan, np.inf])
        band = VerdictBatch(
            np.array([1e12, 5.0]), np.array([1e12 - 1, 4.0]), np.array([1e12 + 1, 6.0]), value, np.zeros(2, np.int8)
        )
        store = stores.writer()
        store.commit(Commit(points=PointBatch(ids(0, 1), np.full(2, START), value), verdicts=band))
        found = store.read_judged(ids(0, 1), 0, FOREVER).verdicts
        assert (found.upper - found.lower).tolist() == [2.0, 2.0]
        assert np.isnan(found.score[0])
        assert found.score[1] == np.inf

    def test_a_score_never_crosses_its_edge(self, stores: Stores) -> None:
        score = np.array([1.0 + 1e-7, 1.0 - 1e-7, -1.0 - 1e-7, 1.0])
        half = np.full(4, 3.0)
        sent = VerdictBatch(np.zeros(4), -half, half, score, np.array([1, 0, -1, 0], np.int8))
        store = stores.writer()
        store.commit(Commit(points=PointBatch(ids(0, 1, 2, 3), np.full(4, START), score * 3.0), verdicts=sent))
        found = read_all(store).verdicts
        assert (np.abs(found.score) > 1).tolist() == [True, False, True, False]

    def test_points_without_verdicts_read_as_not_judged(self, stores: Stores) -> None:
        store = stores.writer()
        store.commit(tick(0))
        store.commit(Commit(points=points([(0, START, 1.0), (7, START, 2.0)])))
        found = store.read_judged(ids(0, 7), 0, FOREVER).verdicts
        assert same_verdicts(found, VerdictBatch.absent(2))

    def test_a_verdict_is_read_as_written_before_and_after_rest(self, stores: Stores) -> None:
        store = stores.writer()
        for number in range(200):
            store.commit(tick(number))
        before = read_all(store)
        assert set(before.verdicts.anomaly.tolist()) == {0, 1}
        np.testing.assert_allclose(before.verdicts.score, verdicts_for(before.points.value).score, rtol=1e-5, atol=1e-5)
        maintain_all(store, START + 200 * MINUTE)
        after = read_all(store)
        assert same_bits(before.points, after.points)
        assert same_verdicts(before.verdicts, after.verdicts)

    def test_the_catalog_keeps_typed_identities(self, stores: Stores) -> None:
        known = [(number, series_key(number)) for number in range(6)]
        store = stores.writer()
        store.commit(Commit(series=known[:4]))
        store.commit(Commit(series=known[4:]))
        assert store.catalog() == known
        assert store.catalog(from_series=4) == known[4:]
        assert [key.stable_id for _, key in store.catalog()] == [key.stable_id for _, key in known]

    def test_events_stay_until_their_whole_commit_is_forgotten(self, stores: Stores) -> None:
        store = stores.writer()
        store.commit(Commit(events=event_batch(START, START + 10)))
        store.commit(Commit(events=event_batch(START + 5)))
        store.commit(Commit(forget_events_before=START + 6))
        held = store.events()
        assert held.time_unix_nano.tolist() == [START, START + 10]
        assert held.duration_seconds.tolist() == [0.1, 0.9]
        assert held.is_error.tolist() == [False, True]
        assert held.stream.tolist() == [0, 1]
        store.commit(Commit(events=EventBatch.empty(), forget_events_before=START + 11))
        assert len(store.events()) == 0

    def test_episodes_are_replaced_by_id_and_found_by_overlap(self, stores: Stores) -> None:
        store = stores.writer()
        store.commit(Commit(episodes=[episode("a", 10, None), episode("b", 20, 30, series=4)]))
        assert [e.episode_id for e in store.open_episodes()] == ["a"]
        shifted = replace(episode("c", 40, None), kind=LEVEL_SHIFT, shift=Shift(1.0, 2.0, 50))
        drifting = replace(episode("d", 600, None), kind=DRIFT, drift=Drift(1.0, 400, None))
        store.commit(Commit(episodes=[episode("a", 10, 25), shifted, drifting]))
        told = [(e.kind, e.shift, e.drift) for e in store.open_episodes()]
        assert told == [(LEVEL_SHIFT, shifted.shift, None), (DRIFT, None, drifting.drift)]

        def found(start: int, end: int) -> list[str]:
            return [e.episode_id for e in store.episodes(start, end)]

        assert found(0, 100) == ["a", "b", "c"]
        assert found(25, 40) == ["b"]
        assert found(24, 41) == ["a", "b", "c"]
        assert found(500, 600) == ["c"]
        assert found(500, 601) == ["c", "d"]
        assert found(0, 10) == []
        assert [e.episode_id for e in store.episodes(0, 100, ids(4))] == ["b"]
        (b,) = store.episodes(0, 100, ids(4))
        assert b.lower == float("-inf")
        assert np.isnan(b.upper)
        assert b.end_unix_nano == 30

    def test_incidents_are_replaced_by_id_and_found_by_overlap(self, stores: Stores) -> None:
        store = stores.writer()
        store.commit(Commit(incidents=[incident("a", 10, None), incident("b", 20, 30)]))
        store.commit(Commit(incidents=[incident("a", 10, 25)]))
        assert [each.incident_id for each in store.incidents(0, 100)] == ["a", "b"]
        assert [each.incident_id for each in store.incidents(25, 100)] == ["b"]
        assert store.incident("a") == incident("a", 10, 25)
        assert store.incident("c") is None

    def test_an_episode_of_one_moment_is_found_at_it(self, stores: Stores) -> None:
        store = stores.writer()
        store.commit(Commit(episodes=[episode("a", 10, 10)]))
        assert len(store.episodes(10, 11)) == 1
        assert store.episodes(11, 12) == []

    def test_answers_are_those_about_a_series_in_the_order_they_were_given(self, stores: Stores) -> None:
        store = stores.writer()
        given = [Feedback(f"f{k}", k % 2, Answer.EXPECTED, "e", 0, 1, 1.5, START - k, "a", 1.0, 1.2) for k in range(4)]
        store.commit(Commit(feedback=given))
        store.commit(Commit(feedback=[replace(given[2], undone_unix_nano=START)]))
        assert [f.feedback_id for f in store.feedback()] == ["f3", "f2", "f1", "f0"]
        assert store.feedback(0) == [replace(given[2], undone_unix_nano=START), given[0]]

    def test_exemplars_are_those_of_the_range_and_the_series(self, stores: Stores) -> None:
        store = stores.writer()
        links = [TraceLink(s, START + t, t / 4, bytes([s] * 16), b"12345678") for t in range(3) for s in (1, 2)]
        store.commit(Commit(exemplars=links))
        store.commit(Commit(exemplars=links[:2]))
        assert store.exemplars(START, START + 3) == links
        assert store.exemplars(START + 1, START + 2) == links[2:4]
        assert store.exemplars(START, START + 3, np.array([2], np.int32)) == links[1::2]

    def test_models_in_turn_are_all_of_them(self, stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("collector_processor.store.base._MODELS_AT_ONCE", 2)
        store = stores.writer()
        store.commit(Commit(models=[model(series, 10 + series) for series in (0, 1, 4, 5, 9)]))
        assert [list(records) for records in models_in_turn(store)] == [
            [model(0, 10), model(1, 11)],
            [model(4, 14), model(5, 15)],
            [model(9, 19)],
        ]

    def test_models_give_the_newest_of_each_series_after_a_version(self, stores: Stores) -> None:
        store = stores.writer()
        for version in range(1, 7):
            store.commit(Commit(models=[model(1, version * 10), model(2, version * 10 + 1)]))
        store.commit(Commit(models=[model(3, 5)]))
        assert store.models() == [model(1, 60), model(2, 61), model(3, 5)]
        assert store.models(after_version=60) == [model(2, 61)]
        assert store.model_versions(2) == [model(2, version * 10 + 1) for version in (6, 5, 4)]
        assert store.model_versions(7) == []
        assert store.models(after_version=61) == []
        assert store.models(from_series=2) == [model(2, 61), model(3, 5)]
        assert store.models(from_series=1, most=2) == [model(1, 60), model(2, 61)]

    def test_bands_and_blobs_are_replaced_piece_by_piece(self, stores: Stores) -> None:
        store = stores.writer()
        bands: BandStates = np.zeros(3, BAND_DTYPE)
        bands["tolerance"][1, :2] = (np.nan, 2.5)
        bands["state"] = (0, 1, 2)
        store.commit(Commit(bands={0: np.zeros(3, BAND_DTYPE)}, blobs={"detector": b"old", "other": b"kept"}))
        store.commit(Commit(bands={0: bands, 4: bands[:1], 100_000: bands[1:]}, blobs={"detector": b"\x00new"}))
        store.commit(Commit(bands={4: bands[2:]}))
        saved = store.bands()
        assert saved.size == 100_002
        assert saved[:3].tobytes() == bands.tobytes()
        assert saved[4] == bands[2]
        assert saved[100_000:].tobytes() == bands[1:].tobytes()
        assert saved[5:100_000].tobytes() == unknown_bands(99_995).tobytes()
        assert store.blob("detector") == b"\x00new"
        assert store.blob("other") == b"kept"

    def test_receipts_answer_for_an_hour(self, stores: Stores) -> None:
        store = stores.writer()
        old = RequestReceipt(b"a" * 16, START, 10, {})
        new = RequestReceipt(b"b" * 16, START + 59 * MINUTE, 3, {"too_old": 2})
        store.commit(Commit(receipts=[old]))
        store.commit(Commit(receipts=[new]))
        assert store.receipts(START) == [old, new]
        assert store.receipts(START + 1) == [new]
        later = RequestReceipt(b"c" * 16, START + 61 * MINUTE, 1, {})
        store.commit(Commit(receipts=[later]))
        assert store.receipts(0) == [new, later]

    def test_the_outbox_is_a_queue_with_ids_that_never_come_back(self, stores: Stores) -> None:
        store = stores.writer()
        store.commit(Commit(outbox=[outbox_item(1), outbox_item(2)]))
        store.commit(Commit(outbox=[OutboxItem("traces", 7, b"")]))
        waiting = store.outbox.waiting(after=0, limit=10)
        assert [w.item for w in waiting] == [outbox_item(1), outbox_item(2), OutboxItem("traces", 7, b"")]
        assert store.outbox.sizes() == {"default": (3, 200)}
        assert store.outbox.waiting(after=waiting[0].item_id, limit=1) == waiting[1:2]
        store.outbox.done("default", waiting[-1].item_id)
        assert store.outbox.sizes() == {}
        store.commit(Commit(outbox=[outbox_item(4)]))
        assert store.outbox.waiting(after=0, limit=1)[0].item_id > waiting[-1].item_id

    def test_a_commit_that_cannot_be_stored_changes_nothing(self, stores: Stores) -> None:
        store = stores.writer()
        bad = Commit(series=[(0, series_key(0))], points=points([(0, -5, 1.0)]), outbox=[outbox_item(1)])
        with pytest.raises(ValueError, match="negative"):
            store.commit(bad)
        with pytest.raises(ValueError, match="verdicts"):
            store.commit(Commit(points=points([(0, START, 1.0)]), verdicts=VerdictBatch.absent(2)))
        assert store.catalog() == []
        assert store.outbox.sizes() == {}
        store.commit(tick(0))
        assert len(read_all(store).points) == 5

    def test_everything_is_there_after_opening_again(self, stores: Stores) -> None:
        store = stores.writer()
        commit = tick(0)
        store.commit(
            Commit(
                series=[(0, series_key(0))],
                points=commit.points,
                verdicts=commit.verdicts,
                events=event_batch(START),
                episodes=[episode("a", START, None)],
                outbox=[outbox_item(1)],
                receipts=[RequestReceipt(b"a" * 16, START, 5, {})],
                models=[model(0, 1)],
                bands={0: np.zeros(1, BAND_DTYPE)},
                blobs={"detector": b"state"},
            )
        )
        before = read_all(store)
        store.close()
        again = stores.writer()
        assert same_bits(read_all(again).points, before.points)
        assert same_verdicts(read_all(again).verdicts, before.verdicts)
        assert again.catalog() == [(0, series_key(0))]
        assert len(again.events()) == len(again.open_episodes()) == len(again.models()) == again.bands().size == 1
        assert again.blob("detector") == b"state"
        assert again.outbox.sizes() == {"default": (1, 100)}
        assert len(again.receipts(0)) == 1

    def test_a_reader_sees_a_commit_as_soon_as_it_returned(self, stores: Stores) -> None:
        writer, reader = stores.writer(), None
        for number in range(150):
            writer.commit(tick(number))
            reader = reader or stores.reader()
            assert len(reader.read_points(ids(0), 0, FOREVER)) == number + 1
            writer.maintain(START + number * MINUTE, 0.01)
        assert reader is not None
        assert same_bits(read_all(reader).points, read_all(writer).points)
