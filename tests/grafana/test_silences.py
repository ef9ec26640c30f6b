"""Silences of an Alertmanager, from what it lists to which episodes they answer."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import orjson
import pytest
from flask import Flask

from collector_processor.clock import HOUR, MINUTE, NANOS_PER_SECOND
from collector_processor.errors import PermanentError
from collector_processor.telemetry.feedback import Answer, Feedback, Said
from grafana_datasource.backend import Backend
from grafana_datasource.feedback import FeedbackDoor
from grafana_datasource.provisioning.alerting import RULES
from grafana_datasource.query import LONGEST_REGEX
from grafana_datasource.silences.fit import answers_of
from grafana_datasource.silences.payload import active_silences
from grafana_datasource.silences.source import SilenceSource
from grafana_datasource.silences.watch import MOST_ANSWERS, SilenceWatch
from tests.grafana.scene import CALLS, NOW, PAY
from tests.process import wait_until

OPEN = "0-4285"
"""The episode of CALLS that is open."""

SECRET = "Bearer a-secret-of-grafana"


def condition(name: str, value: str, *, regex: bool = False, equal: bool = True) -> dict[str, Any]:
    return {"name": name, "value": value, "isRegex": regex, "isEqual": equal}


def iso(unix_nano: int) -> str:
    return datetime.fromtimestamp(unix_nano / NANOS_PER_SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def silence(*matchers: dict[str, Any], **said: Any) -> dict[str, Any]:
    """Return a silence as Alertmanager lists it."""
    return {
        "id": "66f2c5bb-7d52-4d4d-9d1e-0f4dbb0d2a0b",
        "status": {"state": "active"},
        "updatedAt": iso(NOW - 10 * MINUTE),
        "comment": "",
        "createdBy": "alice",
        "startsAt": iso(NOW - 10 * MINUTE),
        "endsAt": iso(NOW + HOUR),
        "matchers": list(matchers),
        **said,
    }


SERVICE = condition("service_name", "checkout")
ALERT = condition("alertname", RULES[0].title)


def said_by(backend: Backend, *listed: dict[str, Any]) -> list[Said]:
    silences, unread = active_silences(list(listed))
    assert not unread
    with backend.session() as session:
        return list(answers_of(session, silences))


@pytest.fixture
def backend(app: Flask) -> Backend:
    backend: Backend = app.extensions["foreband"]
    return backend


@pytest.mark.parametrize(
    "matchers",
    [
        [SERVICE],
        [condition("service", "checkout")],
        [SERVICE, ALERT, condition("grafana_folder", "Foreband"), condition("source", "foreband")],
        [SERVICE, condition("__alert_rule_uid__", "foreband-anomaly")],
        [condition("service_name", "check.*|cart", regex=True)],
        [SERVICE, condition("span_name", "POST.*", regex=True, equal=False)],
        [SERVICE, condition("span_name", "POST /pay", equal=False)],
        [condition("series", CALLS.stable_id), condition("alertname", "A rule of their own"), condition("team", "a")],
    ],
)
def test_a_silence_answers_the_episodes_its_matchers_fit(backend: Backend, matchers: list[dict[str, Any]]) -> None:
    (said,) = said_by(backend, silence(*matchers))
    assert said == Said(Answer.EXPECTED, "alice, by silence 66f2c5bb-7d52-4d4d-9d1e-0f4dbb0d2a0b", episode_id=OPEN)


@pytest.mark.parametrize(
    "matchers",
    [
        [],
        [condition("service_name", "mailer")],
        [condition("severity", "warning")],
        [condition("source", "foreband"), ALERT],
        [condition("service_name", ".*", regex=True)],
        [condition("service_name", "mailer", equal=False)],
        [SERVICE, condition("alertname", "HostDown")],
        [SERVICE, condition("team", "payments")],
        [condition("series", PAY.stable_id)],
        [condition("series", CALLS.stable_id), condition("service_name", "mailer")],
    ],
)
def test_a_silence_of_something_else_or_of_everything_answers_nothing(
    backend: Backend, matchers: list[dict[str, Any]]
) -> None:
    assert not said_by(backend, silence(*matchers))


@pytest.mark.parametrize(
    ("comment", "answer"),
    [
        ("deployment of release 7", Answer.EXPECTED),
        ("False alarm: the probe was broken", Answer.FALSE_ALARM),
        ("false_alarm", Answer.FALSE_ALARM),
        (" confirmed, ticket 42", Answer.CONFIRMED),
        ("not confirmed", Answer.EXPECTED),
        ("confirmedly odd", Answer.EXPECTED),
    ],
)
def test_its_comment_may_begin_with_another_answer(backend: Backend, comment: str, answer: Answer) -> None:
    (said,) = said_by(backend, silence(SERVICE, comment=comment))
    assert said.answer is answer


@pytest.mark.parametrize("state", ["pending", "expired"])
def test_a_silence_answers_only_while_it_is_in_force(backend: Backend, state: str) -> None:
    assert not said_by(backend, silence(SERVICE, status={"state": state}))


def test_an_episode_that_ended_before_the_silence_is_not_meant(backend: Backend) -> None:
    assert said_by(backend, silence(SERVICE, startsAt=iso(NOW)))
    assert not said_by(backend, silence(SERVICE, startsAt=iso(NOW + MINUTE)))


@pytest.mark.parametrize(
    "odd",
    [
        None,
        {},
        silence(condition("service_name", "(", regex=True)),
        silence(condition("service_name", "x" * (LONGEST_REGEX + 1), regex=True)),
        silence(SERVICE, startsAt="soon"),
        silence(SERVICE, startsAt="0001-01-01T00:00:00Z"),
        silence(SERVICE, status={"state": "asleep"}),
        silence(*[SERVICE] * 101),
    ],
)
def test_one_silence_that_cannot_be_read_is_counted_beside_those_that_can(odd: Any) -> None:
    found, unread = active_silences([odd, silence(SERVICE)])
    assert (len(found), unread) == (1, 1)


class Listing(BaseHTTPRequestHandler):
    """Answers what the test says, and notes what it was asked."""

    status, body, asked = 200, b"[]", list[tuple[str, str | None]]()

    def do_GET(self) -> None:
        type(self).asked.append((self.path, self.headers["Authorization"]))
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/login")  # type: ignore[attr-defined]
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_said: Any) -> None:
        pass


class Desk:
    """A watch on a listing, and what came of it."""

    def __init__(self, backend: Backend, url: str, listing: type[Listing]) -> None:
        self.source = SilenceSource(f"{url}/api/alertmanager/grafana/", {"Authorization": SECRET})
        self.counts: Counter[str] = Counter()
        self.said: list[Said] = []
        self.listing = listing
        self.watch = SilenceWatch(backend, FeedbackDoor(self.give, self.take_back), self.count, None)

    def give(self, said: Said) -> Feedback:
        if said.episode_id in {before.episode_id for before in self.said}:
            raise PermanentError("answered already")
        self.said.append(said)
        return self.take_back(said.episode_id, said.by)

    def take_back(self, feedback_id: str, by: str) -> Feedback:
        return Feedback(feedback_id, 0, Answer.EXPECTED, "", 0, 1, 1.2, 2, by, 1.0, 1.4)

    def count(self, outcome: str, number: int) -> None:
        self.counts[outcome] += number

    def look(self, body: Any, status: int = 200) -> None:
        self.listing.status, self.listing.body = status, body if isinstance(body, bytes) else orjson.dumps(body)
        self.watch.look(self.source)


@pytest.fixture
def desk(backend: Backend) -> Iterator[Desk]:
    listing = type("OneListing", (Listing,), {"asked": []})
    server = HTTPServer(("127.0.0.1", 0), listing)
    thread = Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Desk(backend, f"http://127.0.0.1:{server.server_port}", listing)
    server.shutdown()
    server.server_close()
    thread.join()


def test_silences_are_asked_for_with_the_headers_and_answer_once(desk: Desk) -> None:
    desk.look([silence(SERVICE), silence(SERVICE, id="second"), {"id": 7}])
    desk.look([silence(SERVICE)])
    assert [said.episode_id for said in desk.said] == [OPEN]
    assert desk.listing.asked[0] == ("/api/alertmanager/grafana/api/v2/silences", SECRET)
    assert desk.counts == {"answers": 1, "read": 3, "malformed": 1}


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b'{"message": "no"}'), (200, b"[" * 9_999), (401, b"{}"), (500, b""), (302, b"")],
)
def test_what_fails_is_counted_told_of_once_and_tried_again(
    desk: Desk, caplog: pytest.LogCaptureFixture, status: int, body: bytes
) -> None:
    caplog.set_level("INFO")
    desk.look(body, status)
    desk.look(body, status)
    assert len(desk.listing.asked) == 2
    assert desk.counts["failed"] == 2
    assert sum("cannot be read" in message for message in caplog.messages) == 1
    desk.look([silence(SERVICE)])
    assert desk.said
    assert any("are read again" in message for message in caplog.messages)
    assert SECRET not in caplog.text


def test_a_header_that_cannot_be_sent_is_not_shown(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    for text in ("a\nsecret", "a secret \u20ac"):
        desk.watch.look(SilenceSource(desk.source.url, {"Authorization": text}))
    assert desk.counts["failed"] == 2
    assert "secret" not in caplog.text


def test_a_look_gives_so_many_answers_and_the_next_one_the_rest(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [Said(Answer.EXPECTED, "alice", episode_id=str(number)) for number in range(MOST_ANSWERS + 1)]
    monkeypatch.setattr(
        "grafana_datasource.silences.watch.answers_of",
        lambda _session, _silences: (said for said in many if said not in desk.said),
    )
    desk.look([])
    assert len(desk.said) == MOST_ANSWERS
    desk.look([])
    assert desk.said == many


def test_the_thread_looks_where_it_is_told_to_and_stops(desk: Desk) -> None:
    desk.listing.body = orjson.dumps([silence(SERVICE)])
    desk.watch.start()
    desk.watch.follow(desk.source)
    assert wait_until(lambda: desk.said)
    desk.watch.follow(None)
    desk.watch.stop()
    assert desk.counts["failed"] == 0
