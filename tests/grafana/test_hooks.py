"""Notifications of alerts, from the bytes that come in to what is drawn and answered."""

import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from collector_processor.clock import MINUTE, NANOS_PER_SECOND, ManualClock
from collector_processor.errors import PermanentError, StoreError
from collector_processor.notices import NoticeDesk
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_reader, open_writer
from collector_processor.telemetry.feedback import Answer, Feedback, Said
from collector_processor.telemetry.notice import MOST_NOTICES, Notice, packed, unpacked
from grafana_datasource.app import Settings, create_app
from grafana_datasource.feedback import FeedbackDoor
from grafana_datasource.hooks.routes import HookDoor
from tests.grafana.scene import CALLS, NOW, SILENT, write_scene
from tests.grafana.strict import body_of, error_of

SECRET, NEXT_SECRET = b"a-secret-of-grafana", b"the-secret-after-it"
READ, HOOK, ADMIN = "r" * 20, "h" * 20, "a" * 20
STARTED = NOW - 30 * MINUTE
NEVER = "0001-01-01T00:00:00Z"


@dataclass
class House:
    """A Foreband whose store is written by whoever takes notices."""

    client: FlaskClient
    clock: ManualClock
    desk: NoticeDesk
    secrets: list[bytes]
    said: list[Said] = field(default_factory=list)

    def notify(self, *alerts: dict[str, Any], token: str = HOOK) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return self.client.post("/hooks/alertmanager", json=notification(*alerts), headers=headers)

    def signed(
        self, body: bytes, replaced: Mapping[str, str] = {}, *, secret: bytes = SECRET, seconds_ago: int = 0
    ) -> Any:
        timestamp = str(self.clock.now_unix_nano() // NANOS_PER_SECOND - seconds_ago)
        signature = hmac.new(secret, timestamp.encode() + b":" + body, sha256).hexdigest()
        headers = {"X-Grafana-Alerting-Signature": signature, "X-Grafana-Alerting-Timestamp": timestamp, **replaced}
        return self.client.post("/hooks/grafana", data=body, headers=headers)

    def drawn(self, **params: Any) -> list[dict[str, Any]]:
        params = {"from": NOW // 1_000_000 - 86_400_000, **params}
        answer = self.client.get("/api/v1/annotations", query_string=params, headers={"X-Foreband-Token": READ})
        return [row for row in body_of(answer) if row["tags"].startswith("alert")]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(Path(tmp_path_factory.mktemp("hooks"))).directory


@pytest.fixture
def house(directory: Path) -> Iterator[House]:
    writer = open_writer(directory, StoreSettings(retention_nano=60 * 86_400 * NANOS_PER_SECOND))
    desk, clock, said, secrets = NoticeDesk(writer), ManualClock(NOW), list[Said](), [NEXT_SECRET, SECRET]

    def give(answer: Said) -> Feedback:
        if any(answer.episode_id == before.episode_id for before in said):
            raise PermanentError("answered already")
        said.append(answer)
        return Feedback("f", 0, answer.answer, answer.episode_id, 0, 1, 1.2, 2, answer.by, 1.0, 1.4)

    def keep(notices: Sequence[Notice]) -> int:
        return desk.take(notices)

    app = create_app(
        Settings(
            partial(open_reader, directory),
            clock=clock,
            may_read={READ, ADMIN}.__contains__,
            may_answer={ADMIN}.__contains__,
            may_notify={HOOK, ADMIN}.__contains__,
            feedback=FeedbackDoor(give, lambda _id, _by: give(said[0])),
            hooks=HookDoor(keep, desk.count, lambda: secrets),
        )
    )
    yield House(app.test_client(), clock, desk, secrets, said)
    app.extensions["foreband"].close()
    writer.close()


def iso(unix_nano: int) -> str:
    return datetime.fromtimestamp(unix_nano / NANOS_PER_SECOND, UTC).isoformat().replace("+00:00", "Z")


def alert(fingerprint: str = "fac0861a85de433a", start: int = STARTED, end: int | None = None, **said: str) -> Any:
    """Return one alert as both programs write it; `said` goes to its annotations."""
    return {
        "status": "firing" if end is None else "resolved",
        "labels": {"alertname": "Outside", "grafana_folder": "Foreband", "series": CALLS.stable_id},
        "annotations": {"summary": "calls are outside their band", **said},
        "startsAt": iso(start),
        "endsAt": NEVER if end is None else iso(end),
        "generatorURL": "http://grafana/alerting/grafana/uid/view",
        "fingerprint": fingerprint,
    }


def notification(*alerts: dict[str, Any]) -> dict[str, Any]:
    """Return what Alertmanager posts; Grafana's has a few keys more."""
    return {
        "receiver": "foreband",
        "status": "firing",
        "version": "4",
        "groupKey": '{}:{alertname="Outside"}',
        "truncatedAlerts": 0,
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager/",
        "alerts": list(alerts),
    }


def of_grafana(*alerts: dict[str, Any]) -> bytes:
    """Return what Grafana posts."""
    extra = {"values": None, "valueString": "[ var='B' ]", "silenceURL": "http://grafana/silence", "orgId": 1}
    whole = notification(*(each | extra for each in alerts))
    return json.dumps(whole | {"orgId": 1, "version": "1", "title": "[FIRING:1]", "state": "alerting"}).encode()


def test_a_signed_notification_of_grafana_is_drawn_until_it_is_resolved(house: House) -> None:
    taken = house.signed(of_grafana(alert("one")))
    assert body_of(taken) == {"alerts": 1, "new": 1, "answers": 0}
    (row,) = (row for row in house.drawn() if "one" in row["id"])
    assert (row["title"], row["text"]) == ("Outside", "calls are outside their band")
    assert (row["time"], row["timeEnd"], row["tags"]) == (STARTED // 10**6, NOW // 10**6, "alert,firing,grafana")
    house.signed(of_grafana(alert("one", end=NOW - MINUTE)))
    (row,) = (row for row in house.drawn() if "one" in row["id"])
    assert (row["timeEnd"], row["tags"]) == ((NOW - MINUTE) // 10**6, "alert,resolved,grafana")


def test_what_was_notified_before_is_kept_once(house: House) -> None:
    assert body_of(house.notify(alert("twice"), alert("once")))["new"] == 2
    assert body_of(house.notify(alert("twice")))["new"] == 0
    assert sum("twice" in row["id"] for row in house.drawn()) == 1
    assert house.desk.counts["alertmanager", "repeated"] == 1


def test_an_alert_that_ended_is_not_opened_again_by_an_older_notification(house: House) -> None:
    house.notify(alert("ended"))
    house.notify(alert("ended", end=NOW - MINUTE))
    assert body_of(house.notify(alert("ended")))["new"] == 0
    (row,) = (row for row in house.drawn() if "ended" in row["id"])
    assert (row["timeEnd"], row["tags"]) == ((NOW - MINUTE) // 10**6, "alert,resolved,alertmanager")


def test_alerts_are_drawn_for_the_series_they_are_about(house: House) -> None:
    house.notify(alert("mine"))
    assert any("mine" in row["id"] for row in house.drawn(series=CALLS.stable_id))
    assert not house.drawn(series=SILENT.stable_id)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Grafana-Alerting-Signature": ""},
        {"X-Grafana-Alerting-Signature": "00" * 32},
        {"X-Grafana-Alerting-Signature": "ä"},
        {"X-Grafana-Alerting-Timestamp": ""},
        {"X-Grafana-Alerting-Timestamp": "9" * 40},
        {"X-Grafana-Alerting-Timestamp": "soon"},
        {"X-Grafana-Alerting-Timestamp": str(NOW // NANOS_PER_SECOND - 1)},
    ],
)
def test_what_is_not_signed_is_not_taken(house: House, headers: dict[str, str]) -> None:
    error_of(house.signed(of_grafana(alert("forged")), headers), 401)
    assert not any("forged" in row["id"] for row in house.drawn())
    assert house.desk.counts["grafana", "unsigned"] == 1


def test_a_signature_is_good_for_a_few_minutes_and_once(house: House) -> None:
    body = of_grafana(alert("again"))
    error_of(house.signed(body, seconds_ago=301), 401)
    error_of(house.signed(body, seconds_ago=-301), 401)
    assert house.signed(body, seconds_ago=299).status_code == 200
    error_of(house.signed(body, seconds_ago=299), 409)
    assert house.signed(body, secret=NEXT_SECRET).status_code == 200
    error_of(house.signed(body, secret=b"some-other-secret"), 401)


def test_a_secret_that_is_replaced_signs_no_more(house: House) -> None:
    assert house.signed(of_grafana(alert("before"))).status_code == 200
    house.secrets[:] = [b"the-secret-of-today"]
    error_of(house.signed(of_grafana(alert("after"))), 401)
    assert house.signed(of_grafana(alert("after")), secret=b"the-secret-of-today").status_code == 200


def test_a_signature_whose_notification_could_not_be_kept_is_good_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_notices: object) -> int:
        raise StoreError("the disk is full")

    body = of_grafana(alert("later"))
    with monkeypatch.context() as full:
        full.setattr(house.desk, "take", refuse)
        error_of(house.signed(body), 503)
    assert body_of(house.signed(body))["new"] == 1


def test_an_alertmanager_shows_a_token_of_its_own(house: House) -> None:
    error_of(house.notify(alert("t"), token=""), 401)
    error_of(house.notify(alert("t"), token=READ), 403)
    assert house.notify(alert("t"), token=ADMIN).status_code == 200
    asked = house.client.get("/api/v1/catalog", headers={"Authorization": f"Bearer {HOOK}"})
    error_of(asked, 403)


def test_an_alert_may_answer_the_episode_it_is_about_once(house: House) -> None:
    said = alert("ack", foreband_answer="false_alarm", foreband_by="alice")
    assert body_of(house.notify(said))["answers"] == 1
    (first,) = house.said
    assert (first.answer, first.by) == (Answer.FALSE_ALARM, "alice")
    assert first.episode_id == "0-4285"
    assert body_of(house.notify(said))["answers"] == 0


def test_an_answer_about_nothing_is_kept_and_counts_for_nothing(house: House) -> None:
    elsewhere = alert("nobody", start=NOW - 6 * 60 * MINUTE, end=NOW - 5 * 60 * MINUTE, foreband_answer="confirmed")
    unknown = alert("unknown", foreband_answer="expected", series="0" * 16)
    assert body_of(house.notify(elsewhere, unknown)) == {"alerts": 2, "new": 2, "answers": 0}
    assert not house.said


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in alert().items() if name != key}


@pytest.mark.parametrize(
    ("body", "code", "part"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON"),
        (b"null", 400, "body"),
        (b"[]", 400, "body"),
        (b"{}", 400, "alerts"),
        (b'{"alerts": {}}', 400, "alerts"),
        (b'{"alerts": [7]}', 400, "alerts.0"),
        (json.dumps(notification(without("fingerprint"))).encode(), 400, "alerts.0.fingerprint"),
        (json.dumps(notification(without("startsAt"))).encode(), 400, "alerts.0.startsAt"),
        (json.dumps(notification(alert() | {"startsAt": "soon"})).encode(), 400, "alerts.0.startsAt"),
        (json.dumps(notification(alert() | {"startsAt": NEVER})).encode(), 400, "outside the years"),
        (json.dumps(notification(alert() | {"labels": {"a": {"b": "c"}}})).encode(), 400, "alerts.0.labels.a"),
        (json.dumps(notification(alert(foreband_answer="maybe"))).encode(), 400, "foreband_answer"),
        (json.dumps(notification(*[{}] * 501)).encode(), 413, "the limit is 500"),
        (b"x" * (5 << 20), 413, ""),
    ],
)
def test_a_bad_payload_is_refused_with_what_is_wrong(house: House, body: bytes, code: int, part: str) -> None:
    answer = house.client.post("/hooks/alertmanager", data=body, headers={"X-Foreband-Token": HOOK})
    assert part in error_of(answer, code)


def test_what_an_alert_says_is_data_and_nothing_else(house: House) -> None:
    text = "; rm -rf / $(reboot) <script>alert(1)</script> \u202e\x00"
    hostile = alert("hostile", summary=text)
    hostile["labels"] |= {"__proto__": "x", "alertname": "../../etc/passwd"}
    assert house.notify(hostile).status_code == 200
    (row,) = (row for row in house.drawn() if "hostile" in row["id"])
    assert (row["title"], row["text"]) == ("../../etc/passwd", text)


def test_only_the_newest_notices_are_kept() -> None:
    older = [Notice(f"{i}", i, i, "grafana", "", "", "") for i in range(MOST_NOTICES)]
    newest = Notice("newest", NOW, None, "grafana", "", "", "")
    assert unpacked(packed([newest, *older])) == [*older[1:], newest]
    assert unpacked(None) == []


def test_without_a_secret_or_a_writer_there_is_nobody_to_notify(directory: Path) -> None:
    app = create_app(Settings(partial(open_reader, directory), hooks=HookDoor(len, lambda *_: None)))
    error_of(app.test_client().post("/hooks/grafana", data=b"{}"), 404)
    app = create_app(Settings(partial(open_reader, directory)))
    error_of(app.test_client().post("/hooks/alertmanager", json=notification()), 409)
