"""What fit processes are given to do in tests; the series id says what."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Event

from collector_processor.training.request import Chunk, FitOutcome, FitRequest, FitStatus, Solver

GOOD, HANG, DIE, RAISE, HANG_IN_CHILD, SEGFAULT, LEAVE_FILES, ENVIRONMENT, ALLOCATE, BURN = range(10)


def request(series: int, directory: Path = Path()) -> FitRequest:
    return FitRequest(directory, series, 0, 1)


def misbehave(chunk: Chunk) -> list[FitOutcome]:
    return [_misbehave(asked) for asked in chunk]


def _misbehave(asked: FitRequest) -> FitOutcome:
    reason = str(os.getpid())
    if asked.series == HANG:
        Event().wait()
    elif asked.series == DIE:
        os._exit(7)
    elif asked.series == RAISE:
        raise ValueError("this series is cursed")
    elif asked.series == HANG_IN_CHILD:
        with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as child:
            (asked.directory / "child").write_text(str(child.pid))
    elif asked.series == SEGFAULT:
        os.abort()
    elif asked.series == LEAVE_FILES:
        (Path(os.environ["TMPDIR"]) / "left.csv").write_text("x")
        reason = os.environ["TMPDIR"]
    elif asked.series == ENVIRONMENT:
        reason = " ".join([os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"], str(os.nice(0))])
    elif asked.series == ALLOCATE:
        reason = str(len(bytearray(4 << 30)))
    elif asked.series == BURN:
        program = "import time; begun = time.process_time()\nwhile time.process_time() < begun + 0.2: pass"
        subprocess.run([sys.executable, "-c", program], check=True)
        reason = "0.2"
    return FitOutcome(asked, FitStatus.FITTED, reason, solver=Solver.BATCH)
