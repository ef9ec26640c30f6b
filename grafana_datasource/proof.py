"""What Foreband proves about itself: that anomalies would be found, and that bands hold what they promise."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from collector_processor.clock import HOUR
from collector_processor.policy import PoliciesInForce
from collector_processor.policy.cohort import Cohorts, coverage
from collector_processor.telemetry.proof import PROOF_BLOB, Proof
from grafana_datasource.backend import Session
from grafana_datasource.figures import Figure, Figures
from grafana_datasource.matching import Matcher
from grafana_datasource.query import to_ms

HELP = {
    "foreband_detection_power": "Share of canaries found in shadow copies of live series, by kind and size.",
    "foreband_time_to_detect_seconds": "Median time until a canary was found, by kind and size.",
    "foreband_band_coverage": "Measured share of points in the calibrated band, by interval_width and kind of metric.",
}

STANDS_FOR = HOUR
"""A proof older than this proves nothing: its figures are gone."""


class SelfProof:
    """Reads the newest proof and counts the coverage of all bands."""

    def __init__(self, policies: PoliciesInForce) -> None:
        self._cohorts = Cohorts(policies)
        self.figures = Figures(HELP, self._read)

    def rows(self, session: Session) -> list[dict[str, Any]]:
        """Return all figures in flat rows."""
        proof = _newest(session)
        measured = {"time": to_ms(proof.measured_unix_nano)}
        rows = [
            {
                **measured,
                "kind": power.kind,
                "size": power.size,
                "tried": power.tried,
                "power": power.found / power.tried,
                "seconds": power.seconds,
            }
            for power in proof.powers
        ]
        covered = [
            {"time": to_ms(session.now), **labels, "coverage": share} for share, labels in self._coverage(session)
        ]
        return [*rows, *covered]

    def _read(self, session: Session, _matchers: Sequence[Matcher]) -> list[Figure]:
        powers = _newest(session).powers
        return [
            *(Figure("foreband_detection_power", power.labels, power.found / power.tried) for power in powers),
            *(
                Figure("foreband_time_to_detect_seconds", power.labels, power.seconds)
                for power in powers
                if power.seconds is not None
            ),
            *(Figure("foreband_band_coverage", labels, share) for share, labels in self._coverage(session)),
        ]

    def _coverage(self, session: Session) -> list[tuple[float, dict[str, str]]]:
        outlook = session.outlook
        entries = outlook.directory.entries
        kinds = self._cohorts.kinds([entry.key for entry in entries.values()])
        return coverage(outlook.bands[np.array([*entries], np.int32)], kinds)


def _newest(session: Session) -> Proof:
    blob = session.reader.blob(PROOF_BLOB)
    proof = Proof.from_fields(orjson.loads(blob)) if blob is not None else Proof()
    return proof if session.now - proof.measured_unix_nano <= STANDS_FOR else Proof()
