"""Say in one sentence what an incident is and what likely caused it."""

from collections.abc import Sequence

from collector_processor.incidents.cause import Ranking
from collector_processor.telemetry.episode import SILENCE
from collector_processor.telemetry.incident import Incident

_NAMED = 3


def sentence(incident: Incident, ranking: Ranking) -> str:
    """Return what happened to whom, and the likeliest cause with its strongest evidence."""
    return f"{_what(incident)}; {_why(ranking)}."


def _what(incident: Incident) -> str:
    silent = [member for member in incident.members if member.kind == SILENCE]
    number = len(incident.members) + incident.more
    what = f"{number} series" if number > 1 else "everything"
    did = "fell silent" if len(silent) == len(incident.members) else "went out of their usual range"
    return f"{what} of {_listed(incident.entities)} {did}"


def _why(ranking: Ranking) -> str:
    if not ranking.causes:
        return f"no cause found: {ranking.no_cause}"
    first = ranking.causes[0]
    because = f", where {first.evidence[0].text}" if first.evidence else ", which shows nothing of itself"
    others = [f"{cause.entity} ({cause.score:.0%})" for cause in ranking.causes[1:_NAMED]]
    rest = f"; less likely {_listed(others)}" if others else ""
    return f"the likeliest cause is {first.entity} ({first.score:.0%}){because}{rest}"


def _listed(names: Sequence[str]) -> str:
    shown = [*names[:_NAMED], *([f"{len(names) - _NAMED} more"] if len(names) > _NAMED else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
