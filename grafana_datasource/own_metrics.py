"""Answer Foreband's own metrics like series of now, so that a Grafana needs no second data source to watch it.

They are those of `/metrics`; whoever wants their past lets a Prometheus scrape that.
"""

from collections.abc import Callable, Sequence

from prometheus_client.parser import text_string_to_metric_families

from grafana_datasource.backend import Session
from grafana_datasource.figures import Figure, Figures
from grafana_datasource.matching import Matcher

HELP = {
    "foreband_series": "Series by state and reason.",
    "foreband_episodes_open": "Episodes open now.",
    "foreband_fit_backlog_age_seconds": "How long the most overdue fit has been due.",
    "foreband_fit_cpu_seconds_total": "CPU seconds of the fit processes.",
    "foreband_fits_total": "Fits by outcome.",
    "foreband_fits_declined_total": "Fits left to the prophet library, by reason.",
    "foreband_received_total": "Items received, by signal.",
    "foreband_stored_total": "Items durable before they were acknowledged.",
    "foreband_rejected_total": "Items never taken, by reason.",
    "foreband_refused_total": "Items the sender keeps and retries.",
    "foreband_noticed_total": "What was taken and yet is odd, by kind.",
    "foreband_forward_waiting": "Requests in the outbox, by destination.",
    "foreband_forward_held": "1: nothing is sent there, it leads into a loop.",
    "foreband_forwarded_total": "Items forwarded or dropped, by outcome.",
    "foreband_notified_total": "Alerts notified of, by source and outcome.",
    "foreband_store_size_bytes": "Bytes on disk: the database, its write-ahead log, the outbox, the rest.",
    "foreband_process_memory_bytes": "Resident memory of the process.",
}


def own_figures(metrics_text: Callable[[], bytes]) -> Figures:
    """Return where the figures come from: the text of `/metrics`, which is empty where nothing runs."""

    def read(_session: Session, _matchers: Sequence[Matcher]) -> list[Figure]:
        return [
            Figure(sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(metrics_text().decode())
            for sample in family.samples
            if sample.name in HELP
        ]

    return Figures(HELP, read)
