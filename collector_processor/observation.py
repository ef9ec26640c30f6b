"""What a running Foreband shows of itself: `(number, attributes)` rows, made when somebody reads `/metrics`."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from collector_processor.canaries import Canaries
from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.incident_keeper import IncidentKeeper
from collector_processor.ledger import Ledger
from collector_processor.memory import resident_memory
from collector_processor.notices import NoticeDesk
from collector_processor.otlp.forward import Forwarder
from collector_processor.pipeline import SeriesDesk
from collector_processor.policy.cohort import Cohorts, coverage
from collector_processor.reloading import Reload
from collector_processor.selftelemetry import Watched
from collector_processor.store.base import OutboxQueues
from collector_processor.store.files import bytes_on_disk
from collector_processor.telemetry.band import REASON_TEXT, Reason
from collector_processor.telemetry.proof import Proof
from collector_processor.telemetry.verdict import State
from collector_processor.training import Trainer

Rows = Iterable[tuple[float, dict[str, str]]]

_STATES = (State.WARMING, State.ACTIVE, State.DEGRADED)


def watched(
    ledger: Ledger,
    desk: SeriesDesk,
    trainer: Trainer,
    forwarders: Sequence[Forwarder],
    outbox: OutboxQueues,
    canaries: Canaries,
    cohorts: Cohorts,
    notices: NoticeDesk,
    incidents: IncidentKeeper,
    last_reload: Callable[[], Reload],
    directory: Path,
) -> Watched:
    """Bind the running parts to what is watched."""
    return Watched(
        ledger=ledger,
        series_states=lambda: _series_states(desk),
        fit_backlog_age=lambda: [(trainer.status.backlog_seconds, {})],
        noticed=lambda: [(count, {"kind": kind}) for kind, count in desk.noticed.items()],
        reload_success=lambda: [(float(last_reload().has_succeeded), {})],
        reload_time=lambda: [(last_reload().succeeded_unix_nano / NANOS_PER_SECOND, {})],
        reload_waiting=lambda: [(1.0, {"setting": name}) for name in last_reload().waiting],
        forgotten=lambda: [(desk.forgotten, {})],
        discarded=lambda: [(count, {"kind": kind}) for kind, count in desk.discarded().items()],
        fits=lambda: [(count, {"outcome": outcome}) for outcome, count in trainer.status.outcomes.items()],
        declined=lambda: _declined(trainer.status.declined),
        fit_cpu=lambda: [(trainer.status.cpu_seconds, {})],
        forwarded=lambda: _forwarded(forwarders, outbox),
        forward_retries=lambda: _retries(forwarders),
        forward_waiting=lambda: _waiting(forwarders, outbox),
        forward_held=lambda: [(float(f.is_held), {"destination": f.destination}) for f in forwarders],
        anomalies=lambda: [(desk.open_episodes, {})],
        incidents=lambda: [(incidents.open_incidents, {})],
        coverage=lambda: coverage(desk.saved_bands, cohorts.kinds(desk.keys)),
        detection_power=lambda: _powers(canaries.proof),
        time_to_detect=lambda: _times_to_detect(canaries.proof),
        notified=lambda: [(n, {"source": source, "outcome": how}) for (source, how), n in notices.counts.items()],
        memory=lambda: [(resident_memory(), {})],
        store_bytes=lambda: [(float(n), {"part": part}) for part, n in bytes_on_disk(directory).items()],
    )


def _series_states(desk: SeriesDesk) -> Rows:
    bands = desk.saved_bands
    modelled = bands[bands["reason"] != Reason.NOT_MODELLED]
    pairs, counts = np.unique(modelled["state"].astype(np.int64) << 8 | modelled["reason"], return_counts=True)
    rows = [
        (float(count), {"state": _STATES[min(pair >> 8, 2)].value, "reason": REASON_TEXT[Reason(pair & 0xFF)]})
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)
    ]
    return [*rows, (float(bands.size - modelled.size), {"state": "not_modelled", "reason": ""})]


def _declined(declined: Mapping[str, int]) -> Rows:
    """Count by what the solver said; what the library said after it has numbers of its own in it."""
    counted: Counter[str] = Counter()
    for reason, count in declined.items():
        counted[reason.partition(";")[0].replace("_", " ")] += count
    return [(float(count), {"reason": reason}) for reason, count in counted.items()]


def _powers(proof: Proof) -> Rows:
    return [(power.found / power.tried, power.labels) for power in proof.powers]


def _times_to_detect(proof: Proof) -> Rows:
    return [(power.seconds, power.labels) for power in proof.powers if power.seconds is not None]


def _forwarded(forwarders: Sequence[Forwarder], outbox: OutboxQueues) -> Rows:
    rows: list[tuple[float, dict[str, str]]] = []
    for forwarder in forwarders:
        counts, where = forwarder.counts(), {"destination": forwarder.destination}
        rows += [(n, {**where, "signal": signal, "outcome": "sent"}) for signal, n in counts.sent.items()]
        rows += [(n, {**where, "signal": signal, "outcome": "rejected_there"}) for signal, n in counts.rejected.items()]
        rows += [
            (n, {**where, "signal": signal, "outcome": "dropped", "code": code})
            for (signal, code), n in counts.dropped.items()
        ]
    for code, lost in (("QUEUE_FULL", outbox.dropped), ("DAMAGED", outbox.damaged)):
        gone = {"signal": "", "outcome": "dropped", "code": code}
        rows += [(n, {"destination": name, **gone}) for name, n in lost.items()]
    return rows


def _retries(forwarders: Sequence[Forwarder]) -> Rows:
    return [
        (n, {"destination": forwarder.destination, "signal": signal})
        for forwarder in forwarders
        for signal, n in forwarder.counts().retries.items()
    ]


def _waiting(forwarders: Sequence[Forwarder], outbox: OutboxQueues) -> Rows:
    sizes = outbox.sizes()
    return [(sizes.get(f.destination, (0, 0))[0], {"destination": f.destination}) for f in forwarders]
