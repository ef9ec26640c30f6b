"""Forecast with statsforecast's and augurs' MSTL; `benchmarks.peers` runs it in the environment that has them.

    python peer_mstl.py METHOD INPUT.npz OUTPUT.npz

Reads `history` `(B, n)` without gaps, writes `yhat` `(B, 288)` and `seconds`, the CPU seconds without the start.
"""

import sys
import time
from typing import Any

import numpy as np

STEPS = DAY = 288


def statsforecast(history: Any) -> list[Any]:
    from statsforecast.models import MSTL

    return [MSTL(season_length=[DAY]).forecast(y, h=STEPS)["mean"] for y in history]


def augurs(history: Any) -> list[Any]:
    from augurs import MSTL

    forecasts = []
    for y in history:
        model = MSTL.ets([DAY])
        model.fit(y)
        forecasts.append(model.predict(STEPS, None).point())
    return forecasts


def main() -> None:
    method, source, target = sys.argv[1:]
    forecast = {"statsforecast": statsforecast, "augurs": augurs}[method]
    with np.load(source) as found:
        history = found["history"]
    forecast(history[:1])  # imports and compiles
    began = time.process_time()
    yhat = np.array(forecast(history))
    np.savez(target, yhat=yhat, seconds=np.array(time.process_time() - began))


if __name__ == "__main__":
    main()
