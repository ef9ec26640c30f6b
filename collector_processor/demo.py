"""`foreband demo`: everything real, on an empty directory, in about a minute and a half.

Foreband runs as its own process, as it would for a user. It is fed over OTLP with the official SDK: this host's own
metrics, live; and the example shop, whose past is simulated and said to be so. Then a fault is injected, and the demo
waits until Foreband has flagged it.
"""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from collector_processor.errors import ForebandError

FAULT = "payment-latency"
SHOP = ("storefront", "cart", "checkout", "inventory", "payment")
_FILLED = {"value", "rate", "mean", "p50", "error_ratio"}
_QUIET_SECONDS = 10.0  # of live traffic before the fault, so that normal can be seen first
_DETECTION_SECONDS = 120.0
_SETTINGS = ("series.window=20s", "series.grace=6s", "forecast.workers=2")
"""Shorter windows than the default minute, so that nobody waits for one."""


class DemoError(ForebandError):
    """The demo cannot go on; the message says where to look."""


@dataclass(frozen=True, slots=True)
class Flagged:
    """The first episode that began after the fault."""

    series: str
    title: str
    service: str
    peak_score: float
    seconds: float


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
        flagged = demo.run(days)
        if is_check:
            return demo.verify(flagged)
        demo.describe(flagged)
        demo.wait()
    return 0


class _Demo:
    """The processes of one demo and what it shows of them."""

    def __init__(self, directory: Path, console: Console, running: ExitStack) -> None:
        self._directory = directory
        self._console = console
        self._running = running
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._otlp = f"127.0.0.1:{_port(4317)}"
        self._http = f"127.0.0.1:{_port(8080)}"
        self._control = f"http://127.0.0.1:{_port(0)}/fault"
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def run(self, days: float) -> Flagged:
        """Start everything, inject the fault and wait for its flag."""
        self._console.print(f"[bold]Foreband demo[/]  data and logs in {self._directory}\n")
        with self._progress:
            with self._step("start Foreband") as note:
                listen = (
                    f"receiver.listen={self._otlp}",
                    "receiver.http_listen=127.0.0.1:0",
                    f"grafana.listen={self._http}",
                )
                settings = (f"store.directory={self._directory / 'data'}", *listen, *_SETTINGS)
                self._start("foreband", "collector_processor", "run", *(f"--set={s}" for s in settings))
                self._wait_for(lambda: self._get("/readyz") is not None, 30, "Foreband did not become ready")
                note(f"http://{self._http}")
            with self._step("measure this host") as note:
                note(self._start_host())
            self._backfill(days)
            with self._step("open the shop") as note:
                port = self._control.rpartition(":")[2].split("/")[0]
                self._start("shop", "examples.shop", f"--endpoint=http://{self._otlp}",
                            f"--control-port={port}")  # fmt: skip
                self._wait_for(lambda: self._fault(None), 20, "the shop did not open")
                note("five services, real HTTP")
            self._fit()
            with self._step("normal traffic", total=_QUIET_SECONDS) as note:
                since = time.time()
                self._pause(_QUIET_SECONDS)
                alarms = len(list(self._episodes_since(since)))
                note("judged, no alarm" if not alarms else f"judged; {alarms} alarms before any fault")
            return self._break_it()

    def verify(self, flagged: Flagged) -> int:
        """Check by the API what a person would look at; return the exit code."""
        rows = self._get(f"/api/v1/series/{flagged.series}/forecast?{urlencode({'from': _minutes_ago(10)})}") or []
        outside = [r for r in rows if r["actual"] is not None and r["anomaly"] and not _is_inside(r)]
        firing = self._get("/prom/api/v1/query?" + urlencode({"query": "foreband_anomaly != 0"}))
        names = [r["metric"] for r in firing["data"]["result"]] if firing else []
        self._console.print(
            f"rows outside the drawn band: {len(outside)}; series firing for an alert rule: {len(names)}"
        )
        return 0 if outside and names else 1

    def describe(self, flagged: Flagged) -> None:
        """Say where to look and what at; what is to be copied stands on lines of its own, however narrow they are."""
        repair = json.dumps({"name": FAULT, "active": False})
        self._say(
            f"\n[bold]{flagged.title}[/] of {flagged.service} left its band {flagged.seconds:.0f} s after the fault "
            f"began (peak score {flagged.peak_score:.1f}; 1.0 is the edge).",
            f"\n[bold]Look[/] at it:  http://{self._http}/?series={flagged.series}&range=1h",
            "  The shaded band is what this series may do, red marks lie outside it, right of now is the forecast.",
            f"  At the whole fleet:  http://{self._http}/",
            "  This host's own series are new: they are judged when they have a day of history, as yours will be.",
            "\n[bold]Ask[/] what is outside its band, and why:",
            f"  curl 'http://{self._http}/prom/api/v1/query?query=foreband_anomaly!=0'",
            f"  curl http://{self._http}/api/v1/episodes",
            "\n[bold]Repair[/] the shop, and see the episode end:",
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

    def _start_host(self) -> str:
        if find_spec("psutil") is None:
            return "skipped: pip install 'foreband[demo]'"
        self._start("host", "examples.host", f"--endpoint=http://{self._otlp}")
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

    def _fit(self) -> None:
        with self._step("fit first forecasts", total=1.0) as note:
            task = self._progress.task_ids[-1]

            def is_done() -> bool:
                rows = self._with_history()
                active = [r for r in rows if r["state"] == "active" and r["forecaster"]]
                self._progress.update(
                    task, completed=len(active) / max(len(rows), 1), note=f"{len(active)} of {len(rows)}"
                )
                return bool(rows) and len(active) >= 0.95 * len(rows)

            self._wait_for(is_done, 240, "the forecasts were not fitted in time")
            note(f"{len(self._with_history())} series have bands; Prophet joins next")

    def _break_it(self) -> Flagged:
        with self._step(f"fault: {FAULT}", total=None) as note:
            began = time.time()
            self._fault(is_active=True)
            found: list[Flagged] = []

            def is_flagged() -> bool:
                found.extend(self._episodes_since(began))
                return bool(found)

            self._wait_for(is_flagged, _DETECTION_SECONDS, "the fault was not flagged")
            note(f"[bold red]flagged[/] after {found[0].seconds:.0f} s: {found[0].title}")
            return found[0]

    def _episodes_since(self, began: float) -> Iterator[Flagged]:
        """Yield episodes of the shop that began after `began`, the furthest from its band first."""
        rows = {r["id"]: r for r in self._catalog()}
        episodes = self._get("/api/v1/episodes?" + urlencode({"from": int(began * 1000), "to": _minutes_ago(-1)})) or []
        for episode in sorted(episodes, key=lambda e: -abs(e["peak_score"])):
            row = rows.get(episode["series"])
            if row and row["service"] in SHOP and episode["start"] / 1000 >= began:
                yield Flagged(row["id"], row["title"], row["service"], episode["peak_score"], time.time() - began)

    def _with_history(self) -> list[dict[str, Any]]:
        """Return the shop's series whose past was back-filled densely enough for a forecast."""
        return [r for r in self._catalog() if r["service"] in SHOP and r["statistic"] in _FILLED and r["last_time"]]

    def _catalog(self) -> list[dict[str, Any]]:
        answer = self._get("/api/v1/catalog?limit=1000")
        return list(answer["series"]) if answer else []

    def _get(self, path: str) -> Any:
        """Return a JSON answer, None while there is none."""
        try:
            with urlopen(f"http://{self._http}{path}", timeout=10) as response:
                return json.load(response)
        except (URLError, OSError, ValueError):
            return None

    def _fault(self, is_active: bool | None) -> bool:
        """Switch the fault, or with None only ask whether the shop answers."""
        body = None if is_active is None else json.dumps({"name": FAULT, "active": is_active}).encode()
        try:
            with urlopen(Request(self._control, data=body), timeout=5) as response:
                return bool(response.status < 300)
        except (URLError, OSError):
            return False

    def _start(self, name: str, module: str, *arguments: str) -> None:
        log = self._running.enter_context((self._directory / f"{name}.log").open("wb"))
        process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=log, stderr=log)
        self._running.callback(_stop, process)
        self._processes.append((name, process))

    def _wait_for(self, is_done: Callable[[], bool], seconds: float, complaint: str) -> None:
        end = time.monotonic() + seconds
        while not is_done():
            for name, process in self._processes:
                if process.poll() is not None:
                    raise DemoError(f"{name} ended with code {process.returncode}:\n{self._tail(name)}")
            if time.monotonic() > end:
                raise DemoError(f"{complaint} within {seconds:.0f} s; the logs:\n{self._tail('foreband')}")
            time.sleep(0.5)

    def _pause(self, seconds: float) -> None:
        task, end = self._progress.task_ids[-1], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._progress.update(task, completed=_QUIET_SECONDS - left)
            time.sleep(min(0.5, left))

    def _tail(self, name: str) -> str:
        return "\n".join((self._directory / f"{name}.log").read_text(errors="replace").splitlines()[-12:])

    @contextmanager
    def _step(self, title: str, total: float | None = 1.0) -> "Iterator[Callable[[str], None]]":
        began = time.monotonic()
        task: TaskID = self._progress.add_task(title, total=total, note="")
        yield lambda note: self._progress.update(task, note=note)
        self._progress.update(task, total=total or 1.0, completed=total or 1.0)
        if not self._console.is_terminal:
            (shown,) = (t for t in self._progress.tasks if t.id == task)
            self._console.print(f"{title}: {shown.fields['note']} ({time.monotonic() - began:.0f} s)")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()


def _port(wanted: int) -> int:
    """Return the wanted port, or a free one where it is taken."""
    for port in (wanted, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as server:
                return int(server.getsockname()[1])
        except OSError:
            continue
    raise DemoError("no free port on 127.0.0.1")


def _minutes_ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()


def _is_inside(row: dict[str, Any]) -> bool:
    return bool(row["lower"] <= row["actual"] <= row["upper"])
