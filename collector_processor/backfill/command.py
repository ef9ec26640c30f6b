"""`foreband backfill prometheus`: what is typed, and the progress that is shown."""

import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from collector_processor.backfill.prometheus import PrometheusSource
from collector_processor.backfill.run import Cursor, Plan, Report, aligned, matches_of, run_backfill
from collector_processor.config.sections import parse_duration
from collector_processor.errors import ConfigError
from collector_processor.otlp.endpoint import Endpoint
from collector_processor.otlp.grpc_downstream import GrpcDownstream

_TIMEOUT_SECONDS = 60.0


def backfill_from_prometheus(
    url: str,
    matches: tuple[str, ...],
    start: str,
    end: str,
    step: str,
    to: str,
    cursor: Path,
    token_file: Path | None,
    to_token_file: Path | None,
) -> None:
    """Run a back-fill with a progress bar, and say what became of it.

    Raises:
        ConfigError: if what was typed is no time, duration or address.
        SourceError, BackfillError: if it cannot go on.
    """
    now = time.time()
    seconds = round(parsed_duration("--step", step))
    if seconds < 1:
        raise ConfigError(f"--step: {step!r} should be one second or more")
    first, last = aligned(moment("--from", start, now), moment("--until", end, now), seconds)
    if first >= last:
        raise ConfigError(f"--from {start} should be before --until {end}, by a step or more")
    plan = Plan(url, matches_of(matches), first, last, seconds)
    headers = {"authorization": f"Bearer {_token(to_token_file)}"} if to_token_file else {}
    downstream = GrpcDownstream(Endpoint(to, "backfill", headers=headers, timeout=_TIMEOUT_SECONDS))
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[points]:,} points"),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("back-fill", total=last - first, points=0)
            report = run_backfill(
                PrometheusSource(url, _token(token_file)),
                downstream,
                plan,
                Cursor(cursor),
                lambda done, points: progress.update(task, completed=done, points=points),
            )
    finally:
        downstream.close()
    console.print(summary_of(report))


def summary_of(report: Report) -> str:
    """Return what became of a back-fill in a sentence or two."""
    text = f"{report.points:,} points of {report.families:,} metrics were sent, {report.rejected:,} of them not taken."
    return f"{text} Foreband said: {report.reasons}" if report.rejected else text


def moment(option: str, text: str, now: float) -> float:
    """Read a duration before now, Unix seconds, or an ISO 8601 time (UTC where it names no zone)."""
    try:
        return now - float(parse_duration(text).total_seconds())
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        pass
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option}: {text!r} should be like 14d, 1767225600 or 2026-01-01T00:00") from None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def parsed_duration(option: str, text: str) -> float:
    """Read a duration in seconds."""
    try:
        seconds: float = parse_duration(text).total_seconds()
    except ValueError as error:
        raise ConfigError(f"{option}: {error}, not {text!r}") from None
    return seconds


def _token(path: Path | None) -> str:
    return path.read_text().strip() if path else ""
