"""The incidents a store holds, for people: `foreband incidents`."""

from contextlib import closing
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from collector_processor.errors import ForebandError
from collector_processor.inspection.wording import lasted, moment
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.incident import Incident


class UnknownIncidentError(ForebandError):
    """No incident has this id, or none any more."""


def stored_incidents(directory: Path, start: int, end: int) -> list[Incident]:
    """Return the incidents that overlap `[start, end)`, ascending by start; those taken over by others are left out.

    Raises:
        StoreError: if the store can't be read.
    """
    with closing(open_reader(directory)) as reader:
        return [incident for incident in reader.incidents(start, end) if not incident.merged_into]


def find_incident(directory: Path, incident_id: str) -> Incident:
    """Return one incident.

    Raises:
        StoreError: if the store can't be read.
        UnknownIncidentError: if there is no such incident.
    """
    with closing(open_reader(directory)) as reader:
        found = reader.incident(incident_id)
    if found is None:
        raise UnknownIncidentError(f"no incident {incident_id!r}; `foreband incidents list` shows those that are kept")
    return found


def table_of(found: list[Incident], now: int) -> Table:
    """Lay out incidents for people, one a row, the newest last."""
    table = Table("id", "from", "lasted", "severity", "series", "services", "likeliest cause", box=None)
    for each in found:
        cause = f"{each.cause.entity} ({each.cause.score:.0%})" if each.cause else each.no_cause
        number = str(len(each.members) + each.more)
        row = (moment(each.start_unix_nano), lasted(each, now), each.severity.value, number)
        table.add_row(each.incident_id, *row, escape(", ".join(each.entities)), escape(cause))
    return table


def description_of(incident: Incident, now: int) -> Table:
    """Lay out one incident: its causes with what speaks against them, and its episodes."""
    table = Table(box=None, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("", escape(incident.sentence))
    table.add_row("from", f"{moment(incident.start_unix_nano)}, {lasted(incident, now)}")
    table.add_row("severity", incident.severity.value)
    for cause in incident.causes:
        evidence = "; ".join(each.text for each in cause.evidence) or "it shows nothing of itself"
        table.add_row(f"suspect: {escape(cause.entity)}", escape(f"{cause.score:.0%}: {evidence}"))
    for member in incident.members:
        text = f"{member.entity}: {member.title}, {member.kind}, score {member.peak_score:.1f}"
        table.add_row(member.episode_id, escape(text))
    if incident.more:
        table.add_row("", f"and {incident.more} more")
    return table
