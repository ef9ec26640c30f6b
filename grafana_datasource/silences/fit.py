"""Tell which episodes a silence answers.

A silence is made for an alert, and an alert has labels of its rule beside those of the series. So a silence fits an
episode if it fits an alert that one of the provisioned rules would send about its series; or if it names the series by
`series`, whatever else it says of the rule. It has to ask something of the series: one of `severity="warning"` alone
answers nothing.

An episode is answered at most once by silences: what a person took back, or said otherwise, stands.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from collector_processor.clock import HOUR
from collector_processor.telemetry.feedback import Answer, Said
from grafana_datasource.backend import Session
from grafana_datasource.directory import Entry
from grafana_datasource.episodes import episodes_between
from grafana_datasource.hooks.payload import SERIES_LABEL
from grafana_datasource.matching import Matcher
from grafana_datasource.provisioning.alerting import RULES
from grafana_datasource.query import TimeRange

LOOK_BACK = HOUR
"""How long after its end an episode is still answered: more than passes between two looks, unless nobody answers."""

_LONGEST_NAME = 200
_OF_RULES = tuple(rule.alert_labels for rule in RULES if rule.of_series)


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence in force since its start; `made_by` as it was written there."""

    silence_id: str
    made_by: str
    answer: Answer
    start_unix_nano: int
    matchers: tuple[Matcher, ...]

    def fits(self, entry: Entry) -> bool:
        """Tell whether it silences alerts about this series."""
        labels = {"service": entry.key.service, **entry.own}
        asked = [matcher for matcher in self.matchers if matcher.label in labels]
        if all(matcher.accepts("") for matcher in asked) or not _match(asked, labels):
            return False
        return _names(asked, entry) or any(_match(self.matchers, {**labels, **rule}) for rule in _OF_RULES)

    @property
    def by(self) -> str:
        """Return who is noted as having answered."""
        return f"{self.made_by or 'somebody'}, by silence {self.silence_id}"[:_LONGEST_NAME]


def answers_of(session: Session, silences: Sequence[Silence]) -> Iterator[Said]:
    """Yield what silences say of the episodes they overlap, of those that nobody ever answered."""
    if not silences:
        return
    answered = {feedback.episode_id for feedback in session.reader.feedback()}
    for entry, episode in episodes_between(session, TimeRange(session.now - LOOK_BACK, session.now + 1), None):
        end = episode.end_unix_nano
        said = _first(silences, entry, session.now if end is None else end)
        if said is not None and episode.episode_id not in answered:
            yield Said(said.answer, said.by, episode_id=episode.episode_id)


def _first(silences: Iterable[Silence], entry: Entry, end: int) -> Silence | None:
    return next((each for each in silences if each.start_unix_nano <= end and each.fits(entry)), None)


def _names(matchers: Iterable[Matcher], entry: Entry) -> bool:
    return any(m.label == SERIES_LABEL and m.operator == "=" and m.text == entry.stable_id for m in matchers)


def _match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)
