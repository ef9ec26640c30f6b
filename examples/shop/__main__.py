"""Run the shop: `python -m examples.shop --endpoint http://127.0.0.1:4317`."""

import argparse
import logging
import sys
import threading
import time
from datetime import timedelta

from examples.shop.backfill import BackfillError, BackfillReport, backfill
from examples.shop.books import books_at
from examples.shop.control import Control, set_fault
from examples.shop.load import Load
from examples.shop.model import DEFAULT_SEED, FAULTS, MINUTE_UNIX_NANO, request_rate
from examples.shop.service import Providers, Shop
from examples.shop.telemetry import meter_provider, tracer_provider
from examples.stopping import stop_on_signals

_log = logging.getLogger("examples.shop")

_SUMMARY_EVERY_SECONDS = 60.0
_TICK_SECONDS = 0.5


def main() -> int:
    """Send the past if asked to, then serve customers until told to stop."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s shop: %(message)s", datefmt="%H:%M:%S")
    stop = stop_on_signals()
    if arguments.backfill_days:
        try:
            _backfill(arguments)
        except BackfillError as error:
            _log.error("%s", error)
            return 1
    _serve(arguments, stop)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m examples.shop", description=__doc__)
    parser.add_argument("--endpoint", default="http://127.0.0.1:4317", help="OTLP gRPC endpoint (default: %(default)s)")
    parser.add_argument("--backfill-days", type=float, default=0.0, help="send this many days of the past first")
    parser.add_argument("--duration", type=float, default=float("inf"), help="stop by itself after so many seconds")
    parser.add_argument("--metric-interval", type=float, default=60.0, help="seconds between points (default: 60)")
    parser.add_argument("--control-port", type=int, default=0, help="port of the fault control (default: a free one)")
    parser.add_argument("--fault", choices=sorted(FAULTS), help="activate a fault by itself")
    parser.add_argument("--fault-after", type=float, default=0.0, help="seconds until it begins (default: at once)")
    parser.add_argument("--fault-for", type=float, default=float("inf"), help="seconds until it ends (default: never)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of the random numbers")
    return parser


def _backfill(arguments: argparse.Namespace) -> None:
    report = backfill(
        arguments.endpoint,
        time.time_ns(),
        history=timedelta(days=arguments.backfill_days),
        seed=arguments.seed,
        progress=_show_progress,
    )
    _log.info(
        "sent %g days: %d metric points, %d spans of %d requests in %.0f s (%.0f s CPU)",
        arguments.backfill_days,
        report.points,
        report.spans,
        report.requests,
        report.wall_seconds,
        report.cpu_seconds,
    )


def _show_progress(report: BackfillReport) -> None:
    if sys.stderr.isatty():
        print(f"\rback-fill {report.fraction:4.0%}", end="\r", file=sys.stderr, flush=True)


def _serve(arguments: argparse.Namespace, stop: threading.Event) -> None:
    books = books_at(time.time_ns() // MINUTE_UNIX_NANO, arguments.seed)
    shop = Shop(
        lambda name: Providers(
            tracer_provider(name, arguments.endpoint),
            meter_provider(name, arguments.endpoint, arguments.metric_interval),
        ),
        books,
    )
    control, load = Control(shop, arguments.control_port), Load(shop, arguments.seed)
    load.start()
    _log.info("open: %.2f requests/s now, telemetry to %s", request_rate(time.time()), arguments.endpoint)
    _log.info("fault control: %s (%s)", control.url, ", ".join(FAULTS))
    try:
        _watch(arguments, shop, load, stop)
    finally:
        control.close()
        load.close()
        shop.close()
        _log.info("closed")


def _watch(arguments: argparse.Namespace, shop: Shop, load: Load, stop: threading.Event) -> None:
    """Switch the requested fault at its times and print a line a minute."""
    begin = time.monotonic()
    due = _scheduled_switches(arguments)
    next_summary = _SUMMARY_EVERY_SECONDS
    while not stop.wait(_TICK_SECONDS):
        elapsed = time.monotonic() - begin
        while due and elapsed >= due[0][0]:
            set_fault(shop, arguments.fault, active=due.pop(0)[1])
        if elapsed >= next_summary:
            next_summary += _SUMMARY_EVERY_SECONDS
            _log.info("last minute: %s", _describe(load))
        if elapsed >= arguments.duration:
            return


def _scheduled_switches(arguments: argparse.Namespace) -> list[tuple[float, bool]]:
    """Return (seconds from the start, active) of the fault given on the command line."""
    if arguments.fault is None:
        return []
    return [(arguments.fault_after, True), (arguments.fault_after + arguments.fault_for, False)]


def _describe(load: Load) -> str:
    outcomes = load.take_outcomes()
    return ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items(), reverse=True)) or "nobody"


if __name__ == "__main__":
    sys.exit(main())
