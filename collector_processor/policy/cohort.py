"""Series by kind, and whether the calibrated band holds what it promises to each kind."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from collector_processor.policy.kind import MetricKind
from collector_processor.policy.policies import PoliciesInForce
from collector_processor.telemetry.band import INTERVAL_WIDTHS, BandStates
from collector_processor.telemetry.series import SeriesKey

_KINDS = list(MetricKind)


class Cohorts:
    """Which kind every series is of, looked up once while the same policies hold."""

    def __init__(self, policies: PoliciesInForce) -> None:
        self._policies = policies
        self._asked = policies.now
        self._kind: dict[bytes, int] = {}

    def kinds(self, keys: Sequence[SeriesKey]) -> npt.NDArray[np.uint8]:
        """Return the place in MetricKind of series `(n,)`."""
        policies = self._policies.now
        if policies is not self._asked or len(self._kind) > 2 * len(keys):
            self._asked, self._kind = policies, {}
        kind = self._kind  # whoever asks at the same time comes to the same
        for key in keys:
            if key.identity not in kind:
                kind[key.identity] = _KINDS.index(policies.kind(key))
        return np.array([kind[key.identity] for key in keys], np.uint8)


def coverage(bands: BandStates, kind: npt.NDArray[np.uint8]) -> list[tuple[float, dict[str, str]]]:
    """Return the measured share of scored points in the calibrated band, by kind and interval width.

    `kind` `(S,)` and `bands` are by dense id; either may be longer. Kinds without a scored point are left out.
    """
    size = min(bands.size, kind.size)
    rows = []
    for i, name in enumerate(_KINDS):
        own = bands[:size][kind[:size] == i]
        scored = int(own["scored"].sum(dtype=np.int64))
        inside = own["inside"].sum(axis=0, dtype=np.int64) / max(scored, 1)
        for width, share in zip(INTERVAL_WIDTHS, inside.tolist() if scored else (), strict=bool(scored)):
            rows.append((share, {"interval_width": f"{width:g}", "kind": name.value}))
    return rows
