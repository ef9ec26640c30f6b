"""The thread that looks at silences now and then and hands on what they say; ingest never waits for it.

Nothing is remembered but what the store has: after a restart, or a time without an answer, it goes on as if nothing had
been.
"""

import logging
from collections.abc import Callable, Iterable
from http.client import HTTPException
from itertools import islice
from threading import Event, Thread

from collector_processor.errors import ForebandError, PermanentError
from collector_processor.telemetry.feedback import Said
from grafana_datasource.backend import Backend
from grafana_datasource.feedback import FeedbackDoor
from grafana_datasource.silences.fit import Silence, answers_of
from grafana_datasource.silences.payload import active_silences
from grafana_datasource.silences.source import SilenceSource

log = logging.getLogger(__name__)

MOST_ANSWERS = 100
"""Answers a look: each is a commit, and telemetry waits for those. The others follow with the next look."""

_JOIN_SECONDS = 5.0


class SilenceWatch:
    """`start` once, `stop` once; `follow` changes what is looked at. `count` takes an outcome and how many."""

    def __init__(
        self,
        backend: Backend,
        door: FeedbackDoor,
        count: Callable[[str, int], None],
        source: SilenceSource | None,
    ) -> None:
        self._backend = backend
        self._door = door
        self._count = count
        self._source = source
        self._is_failing = False
        self._stop, self._woken = Event(), Event()
        self._thread = Thread(target=self._run, name="silences", daemon=True)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def follow(self, source: SilenceSource | None) -> None:
        """Look there from now on, at once; None for nowhere."""
        self._source = source
        self._woken.set()

    def stop(self) -> None:
        """Stop soon; a question under way is abandoned."""
        self._stop.set()
        self._woken.set()
        self._thread.join(_JOIN_SECONDS)

    def look(self, source: SilenceSource) -> None:
        """Ask once, and answer the episodes that silences fit; what fails is counted, and tried again next time."""
        try:
            silences, unread = active_silences(source.listed())
            answers = self._give(silences)
        except (OSError, HTTPException, ForebandError) as error:
            self._fail(source, error)
            return
        self._count("answers", answers)
        self._count("read", len(silences))
        self._count("malformed", unread)
        if self._is_failing:
            log.info("silences of %s are read again", source.url)
        self._is_failing = False

    def _give(self, silences: list[Silence]) -> int:
        with self._backend.session() as session:
            said = list(islice(answers_of(session, silences), MOST_ANSWERS))
        return self._hand_on(said)

    def _hand_on(self, answers: Iterable[Said]) -> int:
        given = 0
        for said in answers:
            try:
                self._door.give(said)
            except PermanentError:
                continue  # somebody was faster, or the episode is gone
            given += 1
        if given:
            log.info("silences answered %d episodes", given)
        return given

    def _fail(self, source: SilenceSource, error: Exception) -> None:
        self._count("failed", 1)
        if not self._is_failing:
            log.warning("silences of %s cannot be read, will try again: %s", source.url, error)
        self._is_failing = True

    def _run(self) -> None:
        while not self._stop.is_set():
            self._woken.clear()
            source = self._source
            if source is not None:
                self.look(source)
            self._woken.wait(None if source is None else source.every_seconds)
