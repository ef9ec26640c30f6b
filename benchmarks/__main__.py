"""Run benchmarks on one core: a table each, and one JSON row per figure in bench-results/figures.jsonl."""

import os
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.figures import append_rows, show

ALL = ("decode", "detect", "engine", "store", "fast_path")
RESULTS = Path("bench-results/figures.jsonl")


def main() -> None:
    """Run the benchmarks named, or all."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for name in sys.argv[1:] or ALL:
        module = import_module(f"benchmarks.{name}")
        figures = module.measure()
        show(f"{name}: {(module.__doc__ or '').splitlines()[0]}", figures)
        append_rows(RESULTS, figures)
    print(f"rows appended to {RESULTS}")


if __name__ == "__main__":
    main()
