"""What a process would show of itself that has had everything happen to it."""

from dataclasses import fields

from collector_processor.ledger import Ledger, Signal
from collector_processor.selftelemetry import SelfTelemetry, Watched


def own_metrics_text() -> bytes:
    """Return the text of `/metrics` with one row at least of every metric."""
    ledger = Ledger()
    ledger.settle(Signal.TRACES, stored=1, rejected={"late": 1})
    ledger.refuse(Signal.TRACES, 1, "busy")
    rows = {field.name: lambda: [(1.0, {"of": "test"})] for field in fields(Watched) if field.name != "ledger"}
    telemetry = SelfTelemetry(Watched(ledger=ledger, **rows), version="1", instance_id="1", environ={})
    try:
        return telemetry.prometheus_text()
    finally:
        telemetry.stop()
