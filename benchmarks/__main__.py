"""Run benchmarks on one core: a table each, and one JSON row per figure in bench-results/figures.jsonl."""

import argparse
import os
from importlib import import_module
from pathlib import Path

from benchmarks.figures import append_rows, show

ALL = (
    "decode",
    "detect",
    "engine",
    "store",
    "housekeeping",
    "recovery",
    "fast_path",
    "acknowledgement",
    "forwarding",
    "fleet",
    "peers",
    "grafana",
    "dashboards",
)
_FLEETS = ("housekeeping", "acknowledgement", "fleet", "dashboards")
SIZES: dict[str, tuple[str, ...]] = {**dict.fromkeys(_FLEETS, ("series", "minutes")), "grafana": ("days",)}
RESULTS = Path("bench-results/figures.jsonl")


def main() -> None:
    """Run the benchmarks named, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*ALL, []], default=ALL, help="all where none is named")
    parser.add_argument(
        "--series", type=int, help="of housekeeping, acknowledgement, fleet, dashboards; 100000 is the whole"
    )
    parser.add_argument("--minutes", type=float, help="of the same; 30, 30, 60 and 2 are the whole")
    parser.add_argument("--days", type=float, help="of `grafana`; 14 is the whole")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for name in arguments.names:
        module = import_module(f"benchmarks.{name}")
        asked = {size: getattr(arguments, size) for size in SIZES.get(name, ())}
        figures = module.measure(**{size: value for size, value in asked.items() if value is not None})
        show(f"{name}: {(module.__doc__ or '').splitlines()[0]}", figures)
        append_rows(RESULTS, figures)
    print(f"rows appended to {RESULTS}")


if __name__ == "__main__":
    main()
