"""Take answers of people: look up what they are about, note what they change, and let the detector know at once."""

from dataclasses import replace
from hashlib import blake2b

import numpy as np

from collector_processor.detect.detector import Detector
from collector_processor.detect.sensitivity import factor_of
from collector_processor.errors import PermanentError, UnknownError
from collector_processor.store.base import Commit, SeriesReader, SeriesWriter
from collector_processor.telemetry.feedback import Answer, Feedback, Said

_LARGEST = 1e6  # a band of one value has infinite scores


class FeedbackDesk:
    """The one place where answers change anything; used by the thread that owns the detector."""

    def __init__(self, writer: SeriesWriter) -> None:
        self._writer = writer

    def tune(self, detector: Detector) -> None:
        """Give the detector the factors that all answers so far come to."""
        by_series: dict[int, list[Feedback]] = {}
        for feedback in self._writer.feedback():
            by_series.setdefault(feedback.series, []).append(feedback)
        for series, history in by_series.items():
            detector.tune(series, factor_of(history))

    def take(self, said: Said, detector: Detector, now: int) -> Feedback:
        """Note an answer and act on it.

        Raises:
            UnknownError: if there is no such episode or series.
            PermanentError: if the episode was answered already, or nothing was scored in the range.
        """
        about = _about_episode(said, self._writer) if said.episode_id else _about_range(said, self._writer)
        history = self._writer.feedback(about.series)
        if any(f.episode_id == about.episode_id and f.undone_unix_nano is None for f in history if about.episode_id):
            raise PermanentError(f"episode {about.episode_id} was answered already; take that answer back first")
        before = factor_of(history)
        about = replace(
            about,
            feedback_id=_feedback_id(about, len(history)),
            score=about.score * factor_of(history, about.start_unix_nano),
            given_unix_nano=now,
            given_by=said.by,
            factor_before=before,
        )
        done = replace(about, factor_after=factor_of([*history, about]))
        self._write(done, detector, done.factor_after)
        return done

    def take_back(self, feedback_id: str, by: str, detector: Detector, now: int) -> Feedback:
        """Let an answer count no more.

        Raises:
            UnknownError: if there is none of this id, or it was taken back.
        """
        found = [f for f in self._writer.feedback() if f.feedback_id == feedback_id and f.undone_unix_nano is None]
        if not found:
            raise UnknownError(f"no answer {feedback_id:.80} that counts")
        undone = replace(found[0], undone_unix_nano=now, undone_by=by)
        rest = [f for f in self._writer.feedback(undone.series) if f.feedback_id != feedback_id]
        self._write(undone, detector, factor_of(rest))
        return undone

    def _write(self, feedback: Feedback, detector: Detector, factor: float) -> None:
        self._writer.commit(Commit(feedback=[feedback]))
        detector.tune(feedback.series, factor)


def _about_episode(said: Said, reader: SeriesReader) -> Feedback:
    episode = reader.episode(said.episode_id)
    if episode is None:
        raise UnknownError(f"no episode {said.episode_id:.80}")
    end = episode.last_unix_nano if episode.end_unix_nano is None else episode.end_unix_nano
    score = min(float(np.nan_to_num(abs(episode.peak_score))), _LARGEST)
    return _subject(said.answer, episode.series, episode.start_unix_nano, end, score, said.episode_id)


def _about_range(said: Said, reader: SeriesReader) -> Feedback:
    judged = reader.read_judged(np.array([said.series], np.int32), said.start_unix_nano, said.end_unix_nano)
    scores = np.abs(judged.verdicts.score[np.isfinite(judged.verdicts.score)])
    if not scores.size:
        raise PermanentError("nothing was scored in that range: there is nothing to learn from it")
    return _subject(
        said.answer, said.series, said.start_unix_nano, said.end_unix_nano, min(float(scores.max()), _LARGEST)
    )


def _subject(answer: Answer, series: int, start: int, end: int, score: float, episode_id: str = "") -> Feedback:
    return Feedback("", series, answer, episode_id, start, end, score, 0, "", 1.0, 1.0)


def _feedback_id(about: Feedback, number: int) -> str:
    text = f"{about.series}:{about.start_unix_nano}:{about.answer}:{number}"
    return blake2b(text.encode(), digest_size=8).hexdigest()
