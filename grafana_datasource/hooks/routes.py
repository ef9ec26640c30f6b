"""Take notifications: Grafana's are signed, an Alertmanager can only send a token.

Whoever only reads the store has nobody to tell, and answers 409.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Blueprint, Response, request
from werkzeug.exceptions import Conflict, HTTPException, NotFound

from collector_processor.clock import MINUTE
from collector_processor.errors import InvalidQueryError, PermanentError, RetryableError
from collector_processor.telemetry.feedback import Said
from collector_processor.telemetry.notice import Notice
from grafana_datasource.backend import Backend
from grafana_datasource.feedback import FeedbackDoor
from grafana_datasource.hooks.payload import Notification, Spoken, answer_of, notice_of, read
from grafana_datasource.hooks.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, Signatures
from grafana_datasource.replies import reply

_BEFORE = 15 * MINUTE
"""An alert begins up to so long after the episode it is about: rules wait before they fire."""


@dataclass(frozen=True, slots=True)
class HookDoor:
    """What the process that owns the store does with notices.

    `keep` makes them durable and returns how many were new, `count` takes a source, what became of its alerts, and
    how many they are. `secrets` are those that Grafana signs by.
    """

    keep: Callable[[Sequence[Notice]], int]
    count: Callable[[str, str, int], None]
    secrets: Callable[[], Sequence[bytes]] = tuple


def hook_routes(backend: Backend, door: HookDoor | None, feedback: FeedbackDoor | None) -> Blueprint:
    """Return the routes below `/hooks`."""
    hooks = _Hooks(backend, door, feedback)
    routes = Blueprint("hooks", __name__, url_prefix="/hooks")
    routes.add_url_rule("/grafana", "grafana", hooks.grafana, methods=["POST"])
    routes.add_url_rule("/alertmanager", "alertmanager", hooks.alertmanager, methods=["POST"])
    return routes


class _Hooks:
    def __init__(self, backend: Backend, door: HookDoor | None, feedback: FeedbackDoor | None) -> None:
        self._backend = backend
        self._door = door
        self._feedback = feedback
        self._signatures = Signatures(door.secrets if door else tuple)

    def grafana(self) -> Response:
        """Take what Grafana's webhook contact point sends, signed."""
        door, body = self._open(), request.get_data()
        if not self._signatures.are_known:
            raise NotFound("there is no secret to check signatures by: set security.hook_secrets")
        signature, timestamp = (request.headers.get(name, "") for name in (SIGNATURE_HEADER, TIMESTAMP_HEADER))
        try:
            self._signatures.check(signature, timestamp, body, self._backend.clock.now_unix_nano())
        except HTTPException:
            door.count("grafana", "unsigned", 1)
            raise
        try:
            return self._take(door, "grafana", body)
        except RetryableError:
            self._signatures.forget(body, timestamp)
            raise

    def alertmanager(self) -> Response:
        """Take what an Alertmanager sends; its token was looked at before."""
        return self._take(self._open(), "alertmanager", request.get_data())

    def _open(self) -> HookDoor:
        if self._door is None:
            raise Conflict("this process only reads the store: notify the one that `foreband run` started")
        return self._door

    def _take(self, door: HookDoor, source: str, body: bytes) -> Response:
        try:
            notification = read(_decoded(body))
            notices = [notice_of(alert, source) for alert in notification.alerts]
            spoken = _spoken(notification)
        except (InvalidQueryError, HTTPException):
            door.count(source, "malformed", 1)
            raise
        new = door.keep(notices)
        door.count(source, "kept", new)
        door.count(source, "repeated", len(notices) - new)
        answers = sum(self._answer(each) for each in spoken)
        door.count(source, "answers", answers)
        return reply({"alerts": len(notices), "new": new, "answers": answers})

    def _answer(self, spoken: tuple[Notice, Spoken]) -> bool:
        """Answer the newest episode that an alert is about; return whether it was a first answer."""
        notice, said = spoken
        episode = self._episode(notice, said.series)
        if episode is None or self._feedback is None:
            return False
        try:
            self._feedback.give(Said(said.answer, said.by, episode_id=episode))
        except PermanentError:
            return False  # somebody answered it before
        return True

    def _episode(self, notice: Notice, series: str) -> str | None:
        with self._backend.session() as session:
            entry = session.outlook.directory.by_stable_id.get(series)
            end = session.now if notice.end_unix_nano is None else notice.end_unix_nano
            start = max(0, notice.start_unix_nano - _BEFORE)
            if entry is None or start >= end:
                return None
            found = [each for each in session.reader.episodes(start, end + 1) if each.series == entry.series]
            return found[-1].episode_id if found else None


def _spoken(notification: Notification) -> list[tuple[Notice, Spoken]]:
    found = []
    for alert in notification.alerts:
        said = answer_of(alert, notification.receiver)
        if said is not None:
            found.append((notice_of(alert, ""), said))
    return found


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidQueryError(f"the body is no JSON: {error}") from None
