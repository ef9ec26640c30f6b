"""The steps of the demo.

Foreband runs as its own process, as it would for a user. It is fed over OTLP with the official SDK: this host's own
metrics, live; and the example shop, whose past is simulated and said to be so. Then a fault is injected, and the demo
waits until Foreband has flagged it and named a cause.
"""

import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from collector_processor.demo.answers import Answers, Flagged
from collector_processor.demo.processes import DemoError, Processes, free_port

FAULT = "payment-latency"
_QUIET_SECONDS = 10.0  # of live traffic before the fault, so that normal can be seen first
_DETECTION_SECONDS = 120.0
_CAUSE_SECONDS = 60.0
_SECOND_LOOK_SECONDS = 15.0  # by then a cause was looked for twice, the second time with more services' reports
_SETTINGS = ("series.window=20s", "series.grace=6s", "forecast.workers=2")
"""Shorter windows than the default minute, so that nobody waits for one."""


def run_demo(*, is_check: bool, days: float, directory: Path | None) -> int:
    """Run the demo until stopped (or, as a check, until the fault was flagged); return the exit code."""
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    with ExitStack() as running:
        where = directory or Path(running.enter_context(tempfile.TemporaryDirectory(prefix="foreband-demo-")))
        where.mkdir(parents=True, exist_ok=True)
        if any(where.iterdir()):
            raise DemoError(f"{where} is not empty; the demo starts from nothing")
        demo = _Demo(where, console, running)
        flagged, incident = demo.run(days)
        if is_check:
            return demo.verify(flagged)
        demo.describe(flagged, incident)
        demo.wait()
    return 0


class _Demo:
    """The processes of one demo and what it shows of them."""

    def __init__(self, directory: Path, console: Console, running: ExitStack) -> None:
        self._directory = directory
        self._console = console
        self._processes = Processes(directory, running)
        self._otlp = f"127.0.0.1:{free_port(4317)}"
        self._http = f"127.0.0.1:{free_port(8080)}"
        self._control = f"http://127.0.0.1:{free_port(0)}/fault"
        self._answers = Answers(self._http)
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def run(self, days: float) -> tuple[Flagged, dict[str, Any] | None]:
        """Start everything, inject the fault, wait for its flag, and a while for the incident and its cause."""
        self._console.print(f"[bold]Foreband demo[/]  data and logs in {self._directory}\n")
        with self._progress:
            self._start_foreband()
            with self._step("measure this host") as note:
                note(self._start_host())
            self._backfill(days)
            self._open_shop()
            self._fit()
            with self._step("normal traffic", total=_QUIET_SECONDS) as note:
                since = time.time()
                self._pause(_QUIET_SECONDS)
                alarms = len(list(self._answers.episodes_since(since)))
                note("judged, no alarm" if not alarms else f"judged; {alarms} alarms before any fault")
            flagged = self._break_it()
            return flagged, self._find_cause(flagged)

    def verify(self, flagged: Flagged) -> int:
        """Check by the API what a person would look at; return the exit code."""
        outside, firing = self._answers.outside_the_band(flagged.series), self._answers.firing()
        self._console.print(f"rows outside the drawn band: {outside}; series firing for an alert rule: {firing}")
        return 0 if outside and firing else 1

    def describe(self, flagged: Flagged, incident: dict[str, Any] | None) -> None:
        """Say where to look and what at; what is to be copied stands on lines of its own, however narrow they are."""
        repair = json.dumps({"name": FAULT, "active": False})
        why = f"\n[bold]Why[/]:  http://{self._http}/?incident={incident['id']}" if incident else ""
        self._say(
            f"\n[bold]{flagged.title}[/] of {flagged.service} left its band {flagged.seconds:.0f} s after the fault "
            f"began (peak score {flagged.peak_score:.1f}; 1.0 is the edge).",
            f"\n[bold]Look[/] at it:  http://{self._http}/?series={flagged.series}&range=1h",
            "  The shaded band is what this series may do, red marks lie outside it, right of now is the forecast.",
            f"  At the whole fleet:  http://{self._http}/",
            "  This host's own series are new: they are judged when they have a day of history, as yours will be.",
            *([why, f"  {incident['explanation']}"] if incident else []),
            "\n[bold]Ask[/] what is outside its band, and why:",
            f"  curl 'http://{self._http}/prom/api/v1/query?query=foreband_anomaly!=0'",
            f"  curl http://{self._http}/api/v1/incidents",
            "\n[bold]Repair[/] the shop, and see the episodes end:",
            f"  curl -X POST {self._control} -d '{repair}'",
            "\n[bold]Grafana[/] with dashboards and alert rules:",
            f"  foreband grafana provision --url GRAFANA --foreband http://{self._http}",
            f"\n[bold]Send[/] your own telemetry, OTLP over gRPC, to http://{self._otlp}",
            "\nCtrl-C ends the demo and removes its data.",
        )

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._console.print(line, soft_wrap=True)

    def wait(self) -> None:
        """Stay until the person has seen enough."""
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            self._console.print("stopping")

    def _start_foreband(self) -> None:
        with self._step("start Foreband") as note:
            settings = (
                f"store.directory={self._directory / 'data'}",
                f"receiver.listen={self._otlp}",
                "receiver.http_listen=127.0.0.1:0",
                f"grafana.listen={self._http}",
                *_SETTINGS,
            )
            self._processes.start("foreband", "collector_processor", "run", *(f"--set={s}" for s in settings))
            self._processes.wait_for(self._answers.is_ready, 30, "Foreband did not become ready")
            note(f"http://{self._http}")

    def _start_host(self) -> str:
        if find_spec("psutil") is None:
            return "skipped: pip install 'foreband[demo]'"
        self._processes.start("host", "examples.host", f"--endpoint=http://{self._otlp}")
        return "CPU, memory, disk, network every 5 s"

    def _backfill(self, days: float) -> None:
        from examples.shop.backfill import BackfillReport, backfill

        with self._step(f"back-fill {days:g} days [yellow](simulated)[/]", total=1.0) as note:
            task = self._progress.task_ids[-1]

            def show(report: BackfillReport) -> None:
                text = f"{report.points:,} points, {report.spans:,} spans"
                self._progress.update(task, completed=report.fraction, note=text)

            report = backfill(f"http://{self._otlp}", time.time_ns(), history=timedelta(days=days), progress=show)
            note(f"{report.points:,} points, {report.spans:,} spans over OTLP")

    def _open_shop(self) -> None:
        with self._step("open the shop") as note:
            port = self._control.rpartition(":")[2].split("/")[0]
            self._processes.start("shop", "examples.shop", f"--endpoint=http://{self._otlp}", f"--control-port={port}")
            self._processes.wait_for(lambda: self._fault(None), 20, "the shop did not open")
            note("five services, real HTTP")

    def _fit(self) -> None:
        with self._step("fit first forecasts", total=1.0) as note:
            task = self._progress.task_ids[-1]

            def is_done() -> bool:
                rows = self._answers.with_history()
                active = [r for r in rows if r["state"] == "active" and r["forecaster"]]
                self._progress.update(
                    task, completed=len(active) / max(len(rows), 1), note=f"{len(active)} of {len(rows)}"
                )
                return bool(rows) and len(active) >= 0.95 * len(rows)

            self._processes.wait_for(is_done, 240, "the forecasts were not fitted in time")
            note(f"{len(self._answers.with_history())} series have bands; Prophet joins next")

    def _break_it(self) -> Flagged:
        with self._step(f"fault: {FAULT}", total=None) as note:
            began = time.time()
            self._fault(is_active=True)
            found: list[Flagged] = []

            def is_flagged() -> bool:
                found.extend(self._answers.episodes_since(began))
                return bool(found)

            self._processes.wait_for(is_flagged, _DETECTION_SECONDS, "the fault was not flagged")
            note(f"[bold red]flagged[/] after {found[0].seconds:.0f} s: {found[0].title}")
            return found[0]

    def _find_cause(self, flagged: Flagged) -> dict[str, Any] | None:
        with self._step("cause", total=_SECOND_LOOK_SECONDS) as note:
            self._pause(_SECOND_LOOK_SECONDS)
            end = time.monotonic() + _CAUSE_SECONDS
            while (found := self._answers.incident_of(flagged.series)) is None and time.monotonic() < end:
                time.sleep(0.5)
            note(_cause(found))
            return found

    def _fault(self, is_active: bool | None) -> bool:
        """Switch the fault, or with None only ask whether the shop answers."""
        body = None if is_active is None else json.dumps({"name": FAULT, "active": is_active}).encode()
        try:
            with urlopen(Request(self._control, data=body), timeout=5) as response:
                return bool(response.status < 300)
        except (URLError, OSError):
            return False

    def _pause(self, seconds: float) -> None:
        task, end = self._progress.task_ids[-1], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._progress.update(task, completed=seconds - left)
            time.sleep(min(0.5, left))

    @contextmanager
    def _step(self, title: str, total: float | None = 1.0) -> "Iterator[Callable[[str], None]]":
        began = time.monotonic()
        task: TaskID = self._progress.add_task(title, total=total, note="")
        yield lambda note: self._progress.update(task, note=note)
        self._progress.update(task, total=total or 1.0, completed=total or 1.0)
        if not self._console.is_terminal:
            (shown,) = (t for t in self._progress.tasks if t.id == task)
            self._console.print(f"{title}: {shown.fields['note']} ({time.monotonic() - began:.0f} s)")


def _cause(incident: dict[str, Any] | None) -> str:
    if incident is None:
        return "not looked for yet"
    if not incident["cause"]:
        return f"none named: {incident['no_cause']}"
    return f"[bold]{incident['cause']}[/], {incident['cause_score']:.0%} of the blame in {incident['episodes']} series"
