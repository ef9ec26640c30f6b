"""The outbox by itself; the ends of its logs, which the database keeps, are a dictionary here."""

import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from collector_processor.errors import StoreError
from collector_processor.store import segment, segment_log
from collector_processor.store.base import OutboxItem, StoredOutboxItem
from collector_processor.store.blocks import BLOCK_BYTES
from collector_processor.store.outbox import Outbox
from collector_processor.store.segment import HEAD_BYTES, Frame
from collector_processor.store.segment_log import LogEnd
from collector_processor.store.settings import StoreSettings
from tests.store.test_sqlite import no_file_larger_than

SETTINGS = StoreSettings(outbox_max_bytes=1 << 30)
A, B, BOTH = ("a",), ("b",), ("a", "b")


class Database:
    """An outbox, the ends that are committed, and starting again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ends: dict[int, LogEnd] = {}
        self.opened = ExitStack()
        self.start()

    def start(self) -> None:
        """Start while the last one is still there, as after a kill."""
        self.outbox = Outbox(self.directory, self.ends, SETTINGS)
        self.opened.callback(self.outbox.close)

    def restart(self) -> None:
        self.opened.close()
        self.start()

    def fail(self, *items: OutboxItem, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Append items for a commit that fails, having done something meanwhile."""
        with pytest.raises(ZeroDivisionError):
            self._fail(items, meanwhile)

    def _fail(self, items: Sequence[OutboxItem], meanwhile: Callable[[], object]) -> None:
        with self.outbox.appended(items):
            meanwhile()
            raise ZeroDivisionError

    def commit(self, *items: OutboxItem) -> None:
        with self.outbox.appended(items) as ends:
            committed = dict(ends)
        self.ends |= committed

    def payloads(self, destination: str = "a", after: int = 0) -> list[bytes]:
        return [stored.item.payload for stored in self.all(destination, after)]

    def all(self, destination: str = "a", after: int = 0) -> list[StoredOutboxItem]:
        return self.outbox.waiting(after=after, limit=10_000, destination=destination)

    def send(self, destination: str, count: int) -> None:
        sent = self.outbox.waiting(after=0, limit=count, destination=destination)
        self.outbox.done(destination, sent[-1].item_id)

    def files(self) -> list[Path]:
        return sorted(self.directory.glob("*.outbox"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path)
    yield database
    database.opened.close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make segments of two or three frames."""
    monkeypatch.setattr(segment_log, "SEGMENT_BYTES", 300)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read everything from the disk."""
    monkeypatch.setattr(segment_log, "RECENT_BYTES", 0)


def blocks(size: int) -> int:
    """Return what a file holds where so much was written."""
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def item(number: int, destinations: tuple[str, ...] = A, size: int = 100) -> OutboxItem:
    return OutboxItem("metrics", number, bytes([number % 256]) * size, destinations)


def test_what_several_destinations_get_is_written_once(database: Database) -> None:
    database.commit(item(1, ("a", "b", "c"), 5000))
    (file,) = database.files()
    assert file.stat().st_size == blocks(HEAD_BYTES + 5000)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [database.payloads(name) for name in "abc"] == [[item(1, size=5000).payload]] * 3


def test_items_of_several_logs_come_in_the_order_of_their_commits(database: Database) -> None:
    routes = (A, BOTH, A, B, BOTH, A)
    for number, route in enumerate(routes):
        database.commit(item(number, route))
    for _ in range(2):
        assert [stored.item.items for stored in database.all("a")] == [0, 1, 2, 4, 5]
        assert [stored.item.items for stored in database.all("b")] == [1, 3, 4]
        database.restart()


def test_what_a_failed_commit_wrote_is_never_seen_and_overwritten(database: Database) -> None:
    database.commit(item(1, size=5000))
    sizes: list[int] = []
    database.fail(
        item(2, size=5000), item(3, B), meanwhile=lambda: sizes.extend(f.stat().st_size for f in database.files())
    )
    assert sizes == [blocks(2 * (HEAD_BYTES + 5000)), BLOCK_BYTES]
    assert database.outbox.sizes() == {"a": (1, 5000)}
    assert database.payloads("b") == []
    database.commit(item(4, size=5000), item(5, B))
    assert [file.stat().st_size for file in database.files()] == sizes
    database.restart()
    assert [stored.item.items for stored in database.all()] == [1, 4]
    assert [stored.item.items for stored in database.all("b")] == [5]


@pytest.mark.usefixtures("small")
def test_a_full_segment_ends_where_its_last_commit_does(database: Database) -> None:
    for number in range(2):
        database.commit(item(number))
    database.fail(item(8, size=500))
    database.commit(item(2))
    database.fail(item(9))
    database.commit(item(4, B))
    database.commit(item(3))
    database.restart()
    assert [stored.item.items for stored in database.all()] == [0, 1, 2, 3]
    assert not database.outbox.damaged


def test_a_frame_fits_its_payload_alone_also_one_with_the_checksum_of_an_older_version() -> None:
    old = Frame(1, "metrics", 1, 3, zlib.crc32(b"abc"))
    for frame in (Frame.of(1, "metrics", 1, b"abc"), old):
        assert [frame.fits(payload) for payload in (b"abc", b"abd", b"ab", b"")] == [True, False, False, False]


def test_a_head_of_an_older_version_joins_nothing() -> None:
    head = struct.pack("<QII8sI", 1, 2, 3, b"metrics", 4)
    assert Frame.decode(head + zlib.crc32(head).to_bytes(4, "little")) == Frame(1, "metrics", 2, 3, 4, joins=False)


@pytest.mark.usefixtures("small")
def test_items_that_go_together_stay_together_over_restarts_and_pages(database: Database) -> None:
    database.commit(item(1), item(2), replace(item(3), joins=True), replace(item(4), joins=True), item(5))
    for _ in range(2):
        for limit, count in ((1, 1), (2, 4), (4, 4), (5, 5)):
            found = [stored.item.joins for stored in database.outbox.waiting(after=0, limit=limit, destination="a")]
            assert found == [False, False, True, True, False][:count]
        database.restart()


@pytest.mark.parametrize("garbage", [1, HEAD_BYTES, HEAD_BYTES + 50, HEAD_BYTES + 100, 1000])
def test_a_tail_of_no_commit_is_cut_off(database: Database, garbage: int) -> None:
    database.commit(item(1))
    (file,) = database.files()
    whole = file.read_bytes()[: HEAD_BYTES + 100]
    file.write_bytes(whole + (whole * 10)[:garbage])  # it even looks like frames
    database.restart()
    assert file.read_bytes() == whole
    database.commit(item(2))
    database.restart()
    assert [stored.item.items for stored in database.all()] == [1, 2]


def test_a_segment_begun_by_no_commit_is_removed(database: Database) -> None:
    database.commit(item(1))
    stray = database.directory / f"1.{2:020}.outbox"
    stray.write_bytes(b"anything")
    database.restart()
    assert not stray.exists()
    assert database.payloads() == [item(1).payload]


def test_a_log_that_no_commit_knows_is_left_alone_and_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    database.commit(item(1))
    stray = database.directory / f"2.{1:020}.outbox"
    stray.write_bytes(b"anything")
    database.restart()
    database.commit(item(2, B))
    assert stray.read_bytes() == b"anything"
    assert "is of no commit" in caplog.text
    assert database.payloads("b") == [item(2).payload]


@pytest.mark.usefixtures("small")
def test_a_segment_goes_when_the_slowest_destination_has_passed_it(database: Database) -> None:
    for number in range(1, 10):
        database.commit(item(number, BOTH))
    assert len(database.files()) == 3
    database.send("a", 9)
    assert len(database.files()) == 3
    database.send("b", 4)
    assert len(database.files()) == 2
    database.restart()
    assert [stored.item.items for stored in database.all("b")] == [5, 6, 7, 8, 9]
    assert database.all("a") == []


def test_who_keeps_up_never_waits_for_the_disk(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment.Segment, "head", None)
    monkeypatch.setattr(segment.Segment, "payload", None)
    for number in range(100):
        database.commit(item(number, BOTH))
        assert database.payloads("a") == [item(number).payload]
        database.send("a", 1)


def test_memory_holds_so_much_and_the_disk_the_rest(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_log, "RECENT_BYTES", 500)
    for number in range(20):
        database.commit(item(number))
    assert [stored.item.items for stored in database.all()] == list(range(20))
    assert sum(len(payload) for _, payload in database.outbox._logs[1]._recent.values()) <= 500


def test_what_was_sent_is_not_sent_again_after_a_kill(database: Database) -> None:
    for number in range(10):
        database.commit(item(number))
    database.send("a", 7)
    database.start()  # nothing was closed
    assert [stored.item.items for stored in database.all()] == [7, 8, 9]
    assert database.outbox.sizes() == {"a": (3, 300)}


@pytest.mark.parametrize("left", [b"", b"garbage that is long"])
def test_without_its_mark_a_destination_is_sent_again_what_is_still_there(database: Database, left: bytes) -> None:
    for number in range(10):
        database.commit(item(number))
    database.send("a", 7)
    (database.directory / "a.sent").write_bytes(left)
    database.start()
    assert len(database.all()) == 10


def test_ids_never_come_back_even_where_the_database_forgot_some(database: Database) -> None:
    database.commit(item(1))
    known = dict(database.ends)
    database.commit(item(2))
    database.send("a", 2)
    last = database.ends[1].number
    database.ends = known
    database.start()
    database.commit(item(3))
    (stored,) = database.all()
    assert stored.item.items == 3
    assert stored.item_id > last


def damage(path: Path, at: int) -> None:
    body = bytearray(path.read_bytes())
    body[at] ^= 4
    path.write_bytes(body)


@pytest.mark.usefixtures("forgetful")
def test_a_damaged_payload_costs_its_items_and_is_told_once(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1, 5):
        database.commit(item(number, BOTH))
    damage(database.files()[0], 132 + HEAD_BYTES + 7)
    for name in BOTH:
        assert [stored.item.items for stored in database.all(name)] == [1, 3, 4]
    assert database.outbox.damaged == {"a": 2, "b": 2}
    assert database.outbox.sizes() == {"a": (3, 300), "b": (3, 300)}
    assert caplog.text.count("the outbox is damaged") == 1
    database.send("a", 3)
    assert database.all("a") == []
    assert database.outbox.sizes() == {"b": (3, 300)}


@pytest.mark.usefixtures("small", "forgetful")
@pytest.mark.parametrize("restarts", [False, True])
def test_a_damaged_head_costs_the_rest_of_its_segment_alone(database: Database, restarts: bool) -> None:
    for number in range(1, 8):
        database.commit(item(number))
    damage(database.files()[0], 132 + 3)
    if restarts:
        database.restart()
    assert [stored.item.items for stored in database.all()] == [1, 4, 5, 6, 7]
    assert database.outbox.damaged["a"] >= 1
    assert database.outbox.sizes() == {"a": (5, 500)}
    database.commit(item(8))
    database.send("a", 6)
    assert database.outbox.sizes() == {}


@pytest.mark.usefixtures("forgetful")
def test_a_head_damaged_while_more_is_appended_behind_it_costs_nothing_of_that(database: Database) -> None:
    for number in range(1, 4):
        database.commit(item(number))
    damage(database.files()[0], 132 + 3)
    assert [stored.item.items for stored in database.all()] == [1]
    database.commit(item(4))
    assert [stored.item.items for stored in database.all()] == [1, 4]


@pytest.mark.parametrize("kept", [0, 132, 200, None])
def test_a_segment_that_lost_its_end_is_told_and_its_whole_frames_are_sent(
    database: Database, caplog: pytest.LogCaptureFixture, kept: int | None
) -> None:
    for number in range(1, 4):
        database.commit(item(number))
    (file,) = database.files()
    if kept is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:kept])
    database.restart()
    database.commit(item(4))
    assert [stored.item.items for stored in database.all()] == ([4] if not kept else [1, 4])
    assert "the outbox is damaged" in caplog.text
    database.restart()
    assert [stored.item.items for stored in database.all()][-1] == 4


@pytest.mark.parametrize("room", [10, HEAD_BYTES, HEAD_BYTES + 60, BLOCK_BYTES])
def test_a_disk_that_takes_no_more_refuses_for_now_and_keeps_nothing_half_written(
    database: Database, room: int
) -> None:
    database.commit(item(1))
    (file,) = database.files()
    size = HEAD_BYTES + 100
    with no_file_larger_than(size + room), pytest.raises(StoreError, match="the disk refused a write"):
        database.commit(item(2, size=5000), item(3))
    assert file.stat().st_size == size
    assert database.outbox.sizes() == {"a": (1, 100)}
    database.commit(item(4))
    database.restart()
    assert [stored.item.items for stored in database.all()] == [1, 4]


def test_whoever_listens_is_told_after_the_commit_and_not_of_a_failed_one(database: Database) -> None:
    told: list[int] = []
    database.outbox.listen(lambda: told.append(len(database.all())))
    database.commit(item(1))
    database.fail(item(2))
    database.commit()
    database.commit(item(3))
    assert told == [1, 2]


def test_a_thousand_small_items_are_one_commit(database: Database) -> None:
    database.commit(*(item(number, size=number % 7) for number in range(1500)))
    database.restart()
    assert [stored.item for stored in database.all()] == [item(number, size=number % 7) for number in range(1500)]


payloads = st.lists(st.tuples(st.sampled_from([A, B, BOTH]), st.binary(max_size=150)), max_size=4)


class OutboxMachine(RuleBasedStateMachine):
    """Every step is done to an outbox and to a list per destination."""

    @initialize(recent=st.sampled_from([0, 200, 1 << 20]))
    def begin(self, recent: int) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(segment_log, "SEGMENT_BYTES", 300)
        self.patch.setattr(segment_log, "RECENT_BYTES", recent)
        self.space = tempfile.TemporaryDirectory()
        self.database = Database(Path(self.space.name))
        self.ever: dict[str, list[bytes]] = {"a": [], "b": []}
        self.due: dict[str, list[bytes]] = {"a": [], "b": []}

    @rule(given=payloads)
    def commit(self, given: Sequence[tuple[tuple[str, ...], bytes]]) -> None:
        self.database.commit(*(OutboxItem("logs", 1, payload, to) for to, payload in given))
        groups = list(dict.fromkeys(to for to, _ in given))  # one log after the other
        for to, payload in sorted(given, key=lambda pair: groups.index(pair[0])):
            for name in to:
                self.ever[name].append(payload)
                self.due[name].append(payload)

    @rule(given=payloads)
    def fail(self, given: Sequence[tuple[tuple[str, ...], bytes]]) -> None:
        self.database.fail(*(OutboxItem("logs", 1, payload, to) for to, payload in given))

    @rule(name=st.sampled_from("ab"), count=st.integers(1, 5))
    def send(self, name: str, count: int) -> None:
        if self.due[name]:
            self.database.send(name, count)
            del self.due[name][:count]

    @rule()
    def restart(self) -> None:
        self.database.restart()

    @rule(given=payloads)
    def die_before_the_commit(self, given: Sequence[tuple[tuple[str, ...], bytes]]) -> None:
        self._die(given, lambda _: None)

    @rule(given=payloads, seed=st.randoms(use_true_random=False))
    def lose_power_before_the_commit(self, given: Sequence[tuple[tuple[str, ...], bytes]], seed: Random) -> None:
        """What was not synced is torn, and marks are lost: then no more may be sent again than files still hold."""

        def tear(before: Mapping[Path, int]) -> None:
            for path in self.database.files():
                kept = before.get(path, 0)
                body = path.read_bytes()
                path.write_bytes(body[:kept] + seed.randbytes(len(body) - kept))
            for path in self.database.directory.glob("*.sent"):
                path.unlink()

        self._die(given, tear)
        for name in "ab":
            found = self.database.payloads(name)
            assert found[len(found) - len(self.due[name]) :] == self.due[name]
            assert found == self.ever[name][len(self.ever[name]) - len(found) :]
            self.due[name] = found

    @invariant()
    def the_same_waits(self) -> None:
        if not hasattr(self, "due"):
            return
        for name, due in self.due.items():
            assert self.database.payloads(name) == due
            count, size = self.database.outbox.sizes().get(name, (0, 0))
            assert (count, size) == (len(due), sum(map(len, due)))
        assert not self.database.outbox.damaged

    def _die(self, given: Sequence[tuple[tuple[str, ...], bytes]], tear: Callable[[Mapping[Path, int]], None]) -> None:
        """Start from what the files are in the middle of a commit."""
        database = self.database
        before = {path: path.stat().st_size for path in database.files()}
        before |= {database.directory / f"{i}.{end.segment:020}.outbox": end.length for i, end in database.ends.items()}
        with tempfile.TemporaryDirectory() as image:
            items = [OutboxItem("logs", 1, payload, to) for to, payload in given]
            database.fail(*items, meanwhile=lambda: shutil.copytree(database.directory, image, dirs_exist_ok=True))
            database.opened.close()
            shutil.rmtree(database.directory)
            shutil.copytree(image, database.directory)
        tear(before)
        database.start()

    def teardown(self) -> None:
        if hasattr(self, "due"):
            self.database.opened.close()
            self.space.cleanup()
            self.patch.undo()


TestOutboxAgainstLists = OutboxMachine.TestCase
TestOutboxAgainstLists.settings = settings(
    max_examples=60, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
