"""Answer the episodes of a running Foreband."""

from getpass import getuser
from pathlib import Path

import click

_URL = click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="Of a running Foreband.")
_TOKEN_FILE = click.option("--token-file", type=click.Path(path_type=Path, exists=True), help="Token of scope admin.")
_BY = click.option("--by", default=getuser, show_default="you", help="Who says so; kept in the history.")


@click.group()
def feedback() -> None:
    """Answer episodes: what people say moves the sensitivity of a series."""


@feedback.command("give")
@click.argument("episode")
@click.argument("answer", type=click.Choice(["expected", "false_alarm", "confirmed"]))
@_BY
@_URL
@_TOKEN_FILE
def give_feedback(episode: str, answer: str, by: str, url: str, token_file: Path | None) -> None:
    """Say what an EPISODE was; ids are shown by `foreband episodes list`."""
    from collector_processor.feedback_command import ask, said

    click.echo(said(ask(url, f"episodes/{episode}/feedback", {"answer": answer, "by": by}, token_file)))


@feedback.command("missed")
@click.argument("series")
@click.argument("start", metavar="FROM")
@click.argument("end", metavar="TO")
@_BY
@_URL
@_TOKEN_FILE
def report_missed(series: str, start: str, end: str, by: str, url: str, token_file: Path | None) -> None:
    """Report that something was missed in a SERIES between two times, such as 2026-03-01T10:00:00Z."""
    from collector_processor.feedback_command import ask, said

    body = {"answer": "missed", "by": by, "from": start, "to": end}
    click.echo(said(ask(url, f"series/{series}/feedback", body, token_file)))


@feedback.command("undo")
@click.argument("answer")
@_BY
@_URL
@_TOKEN_FILE
def undo_feedback(answer: str, by: str, url: str, token_file: Path | None) -> None:
    """Take an ANSWER back, as if it had never been given; ids are shown by `foreband feedback list`."""
    from collector_processor.feedback_command import ask

    click.echo(f"{ask(url, f'feedback/{answer}/undo', {'by': by}, token_file)['id']} counts no more")


@feedback.command("list")
@_URL
@_TOKEN_FILE
def list_feedback(url: str, token_file: Path | None) -> None:
    """List all answers, the newest first."""
    from rich.console import Console

    from collector_processor.feedback_command import ask, table_of

    Console(highlight=False).print(table_of(ask(url, "feedback", None, token_file)))
