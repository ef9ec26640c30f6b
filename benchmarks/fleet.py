"""A whole `foreband run` under the load of 100,000 series at a point a minute: ingest, hourly refits and questions.

A smaller fleet gets its points and refits as much more often, so that the rates are those of 100,000 series; only what
grows with the number of series (memory, the first minutes) is smaller. `--series 100000 --minutes 60` is the whole.
Everything is one process tree on a store that has known the fleet for days; the sender is another process.

Then the acknowledgement at 10,000 points a second: the fit processes are stopped and continued in turn, so that both
halves see the same store, machine and minute.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode

import numpy as np

from benchmarks.figures import Figure
from benchmarks.fleet_store import preload
from benchmarks.process_tree import Usage, children, usage
from benchmarks.requests import POINTS, Fleet
from collector_processor.telemetry.points import Float64
from tests.process import Process

WHOLE, TICK_SECONDS, REFIT_SECONDS = 100_000, 60.0, 3600.0
FAST_POINTS_PER_SECOND = 10_000
FAST_SECONDS = 120.0
TURN_SECONDS = 10.0
SETTLE_SECONDS = 1.5
ASK_SECONDS = 10.0
PRELOADED_DAYS = 3.0
GIBIBYTE, MEBIBYTE = 1 << 30, 1 << 20
MUST_GIBIBYTES = 1.5


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen at one time (Unix seconds); an answer takes NaN where nothing was asked, infinity if refused."""

    time: float
    usage: Usage
    fitted: float
    failed: float
    backlog_seconds: float
    answer_seconds: float


def measure(series: int = 20_000, minutes: float = 5.0) -> list[Figure]:
    """Return what a fleet costs while it is refitted, and what refits cost the sender."""
    share = series / WHOLE
    with tempfile.TemporaryDirectory(prefix="foreband-fleet-") as directory:
        fleet, process = (
            Fleet(series),
            Process(
                Path(directory),
                f"series.limit={series}",
                f"forecast.refit_interval={max(60, round(REFIT_SECONDS * share))}s",
            ),
        )
        _say(f"preloading {series} series with {PRELOADED_DAYS:g} days")
        preload(process.store, fleet, time.time_ns(), PRELOADED_DAYS)
        began = time.monotonic()
        process.start()
        ready = time.monotonic() - began
        try:
            steady, acknowledged = _steady(process, series, minutes)
            turns = _in_turns(process, series)
        finally:
            process.kill()
        if "error" in process.log():
            _say(process.log()[-2000:])
    return [
        Figure(f"ready with {series} series, {PRELOADED_DAYS:g} days of history", ready, "s"),
        *_steady_figures(steady, acknowledged, series),
        *_turn_figures(*turns),
    ]


def _steady(process: Process, series: int, minutes: float) -> tuple[list[Sample], Float64]:
    """Send at the fleet's rate and watch; return what was seen each second, and rows of the sender."""
    samples = [_sample(process, series)]
    with _sender(process, series, WHOLE / TICK_SECONDS, minutes * 60) as (sender, file):
        while sender.poll() is None:
            time.sleep(1.0)
            samples.append(_sample(process, series))
            if len(samples) % 30 == 0:
                _say(_line(samples))
        return samples, np.fromfile(file).reshape(-1, 2)


def _in_turns(process: Process, series: int) -> tuple[Float64, Float64]:
    """Send 10,000 points a second; return seconds to the acknowledgement with fit processes running and stopped."""
    stopped: list[tuple[float, float]] = []
    with _sender(process, series, FAST_POINTS_PER_SECOND, FAST_SECONDS) as (sender, file):
        while sender.poll() is None:
            time.sleep(TURN_SECONDS)
            pids = children(process.pid)
            _signal(pids, signal.SIGSTOP)
            began = time.time()
            time.sleep(TURN_SECONDS)
            stopped.append((began, time.time()))
            _signal(pids, signal.SIGCONT)
        rows = np.fromfile(file).reshape(-1, 2)
    without = np.zeros(len(rows), np.bool_)
    unclear = np.zeros(len(rows), np.bool_)
    for began, ended in stopped:
        without |= (rows[:, 0] >= began + SETTLE_SECONDS) & (rows[:, 0] < ended)
        unclear |= (rows[:, 0] >= began) & (rows[:, 0] < began + SETTLE_SECONDS)
    return rows[~without & ~unclear, 1], rows[without, 1]


@contextmanager
def _sender(
    process: Process, series: int, rate: float, seconds: float
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "rows"
        arguments = [process.otlp, str(series), str(rate), str(seconds), str(file)]
        sender = subprocess.Popen([sys.executable, "-m", "benchmarks.sender", *arguments])
        _move_away(sender.pid)
        try:
            yield sender, file
        finally:
            sender.kill()
            sender.wait()


def _move_away(pid: int) -> None:
    """Let the sender use the cores that the measured processes are kept from."""
    if others := set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0):
        os.sched_setaffinity(pid, others)


def _sample(process: Process, series: int) -> Sample:
    """Look at the processes and at `/metrics`; now and then ask for a graph."""
    now = time.time()
    numbers = _numbers(process)
    fits = {name: number for name, number in numbers.items() if name.startswith("foreband_fits_total")}
    fitted = sum(number for name, number in fits.items() if 'outcome="fitted"' in name)
    backlog = next((n for name, n in numbers.items() if name.startswith("foreband_fit_backlog_age")), 0.0)
    asked = _ask(process, series, now) if int(now) % ASK_SECONDS == 0 else np.nan
    return Sample(now, usage(process.pid), fitted, sum(fits.values()) - fitted, backlog, asked)


def _steady_figures(samples: list[Sample], acknowledged: Float64, series: int) -> list[Figure]:
    first, last = samples[0], samples[-1]
    seconds = last.time - first.time
    answers = np.array([s.answer_seconds for s in samples if not np.isnan(s.answer_seconds)])
    name = f"{series} series, {seconds / 60:.0f} min"
    return [
        Figure(f"{name}: CPU", (last.usage.cpu_seconds - first.usage.cpu_seconds) / seconds, "cores", 1.0),
        Figure(
            f"{name}: of it fitting",
            (last.usage.children_cpu_seconds - first.usage.children_cpu_seconds) / seconds,
            "cores",
        ),
        Figure(f"{name}: memory, most", max(s.usage.bytes_held for s in samples) / GIBIBYTE, "GiB", MUST_GIBIBYTES),
        Figure(f"{name}: memory, growth in the last half", _growth(samples[len(samples) // 2 :]), "MiB/min"),
        Figure(f"{name}: fits", (last.fitted - first.fitted) / seconds, "1/s"),
        Figure(f"{name}: fits failed", last.failed, "", 0.0),
        Figure(f"{name}: oldest fit overdue, at the end", last.backlog_seconds, "s"),
        Figure(f"{name}: acknowledgement, median", 1e3 * float(np.nanmedian(acknowledged[:, 1])), "ms"),
        Figure(f"{name}: acknowledgement, p99", 1e3 * float(np.nanquantile(acknowledged[:, 1], 0.99)), "ms"),
        Figure(f"{name}: requests refused", float(np.isnan(acknowledged[:, 1]).sum()), "", 0.0),
        Figure(f"{name}: answer to a panel, median", float(np.median(answers)), "s"),
        Figure(f"{name}: answer to a panel, longest", float(answers[np.isfinite(answers)].max()), "s"),
        Figure(f"{name}: answers refused for later", float(np.isinf(answers).sum()), ""),
    ]


def _growth(samples: list[Sample]) -> float:
    """Return the slope of the memory held, in MiB a minute."""
    minute, held = [s.time / 60 for s in samples], [s.usage.bytes_held / MEBIBYTE for s in samples]
    return float(np.polyfit(np.array(minute) - minute[0], held, 1)[0])


def _turn_figures(beside: Float64, without: Float64) -> list[Figure]:
    name = f"acknowledgement at {FAST_POINTS_PER_SECOND} points/s"
    with_p99, without_p99 = (1e3 * float(np.nanquantile(rows, 0.99)) for rows in (beside, without))
    return [
        Figure(f"{name}, median", 1e3 * float(np.nanmedian(beside)), "ms"),
        Figure(f"{name}, p99 beside refits", with_p99, "ms", 0.5, without_p99, without_p99 / with_p99),
    ]


def _ask(process: Process, series: int, now: float) -> float:
    """Ask for three hours of one series, as a panel does; return the seconds to the answer."""
    one = int(now) % series
    place = one % POINTS
    name = f'metric="fleet.metric.{place // 100}",service_name="service-{one // POINTS}",host_name="host-{place % 100}"'
    query = urlencode({"query": f"foreband_yhat{{{name}}}", "start": now - 3 * 3600, "end": now, "step": 60})
    began = time.monotonic()
    try:
        answer = process.get(f"/prom/api/v1/query_range?{query}")
    except HTTPError as error:
        if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        return np.inf
    if not answer["data"]["result"] and "warming" not in str(answer.get("infos")):
        raise RuntimeError(f"nothing is known of {name}: {answer}")
    return time.monotonic() - began


def _numbers(process: Process) -> dict[str, float]:
    """Return what `/metrics` says, `name{labels}` to number."""
    lines = (line for line in process.get("/metrics").splitlines() if not line.startswith("#"))
    return {name: float(number) for name, _, number in (line.rpartition(" ") for line in lines)}


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # replaced by now
            os.kill(pid, number)


def _line(samples: list[Sample]) -> str:
    """Say what happened since the sample half a minute ago, for people who wait."""
    then, now = samples[-30], samples[-1]
    seconds = now.time - then.time
    cpu = (now.usage.cpu_seconds - then.usage.cpu_seconds) / seconds
    workers = (now.usage.children_cpu_seconds - then.usage.children_cpu_seconds) / seconds
    answers = [s.answer_seconds for s in samples[-30:] if not np.isnan(s.answer_seconds)]
    return (
        f"{now.time - samples[0].time:5.0f} s: {cpu:.2f} cores ({workers:.2f} fitting),"
        f" {now.usage.bytes_held / GIBIBYTE:.2f} GiB, {(now.fitted - then.fitted) / seconds:.0f} fits/s,"
        f" backlog {now.backlog_seconds:.0f} s, answer {max(answers, default=np.nan):.2f} s"
    )


def _say(line: str) -> None:
    print(line, flush=True)
