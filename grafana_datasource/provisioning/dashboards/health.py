"""Foreband itself: does it take everything, keep up, and still detect; and how good its models are.

What Foreband knows of itself is of now only. The last row draws the past, from a Prometheus that scrapes `/metrics`.
"""

from collector_processor.telemetry.band import INTERVAL_WIDTHS
from grafana_datasource.provisioning.board import Row, board
from grafana_datasource.provisioning.names import HEALTH, PROMETHEUS, Json
from grafana_datasource.provisioning.panels import Panel, bars, lines, number, override, table
from grafana_datasource.provisioning.queries import now, over_time, rows
from grafana_datasource.provisioning.site import Site

_SCRAPED: Json = PROMETHEUS | {"uid": "${scraped}"}
_PLAIN = [(None, "blue")]
_LOST = [(None, "green"), (1.0, "red")]


def health(site: Site) -> Json:
    """Return the dashboard."""
    layout = [
        Row("Does it take everything, and keep up", [*_ledger(), *_keeping_up()]),
        Row("Does it still detect", [_coverage(), _power(), _time_to_detect()]),
        Row("How its models do", [_states(), _fits(), _declined(), _backtests(), _spread()]),
        Row("The past, where a Prometheus scrapes /metrics", [_taken(), _lost(), _scraped_backlog()]),
    ]
    about = (
        "What Foreband says of itself: what came in and what became of it, whether it still detects, how its models do."
    )
    return board(site, HEALTH, "its own health", about, layout, variables=[_scraper()])


def _ledger() -> list[Panel]:
    """Show that what came is what was stored, rejected and refused."""
    unbalanced = "sum(foreband_received_total) - sum(foreband_stored_total)"
    for outcome in ("rejected", "refused"):
        unbalanced += f" - (sum(foreband_{outcome}_total) or vector(0))"
    told = (
        ("Received", now("A", "sum by (signal) (foreband_received_total)", "{{signal}}"), _PLAIN),
        ("Rejected", now("A", "sum by (reason) (foreband_rejected_total)", "{{reason}}"), _LOST),
        ("Refused for later", now("A", "sum by (reason) (foreband_refused_total)", "{{reason}}"), _LOST),
        ("Without an outcome", now("A", unbalanced, "items"), _LOST),
    )
    none = {"noValue": "none", "unit": "short"}
    return [number(title, 6, 5, target, steps=steps, defaults=none) for title, target, steps in told]


def _keeping_up() -> list[Panel]:
    overdue = [(None, "green"), (3_600.0, "orange"), (7_200.0, "red")]
    waiting = [(None, "green"), (1_000.0, "orange")]
    backlog = now("A", "foreband_fit_backlog_age_seconds", "backlog")
    queued = now("A", "foreband_forward_waiting", "{{destination}}")
    memory = now("A", "foreband_process_memory_bytes", "memory")
    disk = now("A", "foreband_store_size_bytes", "{{part}}")
    return [
        number("The most overdue fit waits for", 6, 5, backlog, steps=overdue, defaults={"unit": "s"}),
        number("Requests in the outbox", 6, 5, queued, steps=waiting, defaults={"noValue": "forwards nowhere"}),
        number("Memory", 6, 5, memory, steps=_PLAIN, defaults={"unit": "bytes"}),
        number("On disk", 6, 5, disk, steps=_PLAIN, defaults={"unit": "bytes"}),
    ]


def _coverage() -> Panel:
    target = now("A", "foreband_band_coverage", "{{kind}} {{interval_width}}")
    defaults = {"unit": "percentunit", "min": 0, "max": 1}
    text = "Measured share of points in the calibrated band; it should be what the name says."
    overrides = [_promised(width) for width in INTERVAL_WIDTHS]
    return bars("Bands hold", 8, 10, target, steps=_PLAIN, defaults=defaults, overrides=overrides, description=text)


def _promised(width: float) -> Json:
    """Return green for bands of a width that hold it but for 2 %, as the alert rule has it, and orange for others."""
    steps = [{"value": None, "color": "orange"}, {"value": round(width - 0.02, 4), "color": "green"}]
    thresholds = {"id": "thresholds", "value": {"mode": "absolute", "steps": steps}}
    return {"matcher": {"id": "byRegexp", "options": f"/ {width:g}$/"}, "properties": [thresholds]}


def _power() -> Panel:
    target = now("A", "foreband_detection_power", "{{kind}} {{size}}")
    steps = [(None, "red"), (0.5, "orange"), (0.8, "green")]
    defaults = {"unit": "percentunit", "min": 0, "max": 1}
    text = "Share of anomalies found that were put into shadow copies of live series."
    return bars("Canaries found", 8, 10, target, steps=steps, defaults=defaults, description=text)


def _time_to_detect() -> Panel:
    target = now("A", "foreband_time_to_detect_seconds", "{{kind}} {{size}}")
    return bars("Canaries found after", 8, 10, target, steps=_PLAIN, defaults={"unit": "s", "min": 0})


def _states() -> Panel:
    target = now("A", "sort_desc(foreband_series)", "{{state}} {{reason}}")
    return bars("Series by state", 8, 9, target, steps=_PLAIN, defaults={"min": 0})


def _fits() -> Panel:
    target = now("A", "sum by (outcome) (foreband_fits_total)", "{{outcome}}")
    return bars("Fits since the start", 8, 9, target, steps=_PLAIN, defaults={"min": 0, "noValue": "none yet"})


def _declined() -> Panel:
    target = now("A", "sum by (reason) (foreband_fits_declined_total)", "{{reason}}")
    return bars("Left to the prophet library", 8, 9, target, steps=_PLAIN, defaults={"min": 0, "noValue": "none"})


def _backtests() -> Panel:
    each = '$each(backtest.relative_error, function($error, $name) {{"forecast": $name, "error": $error}})'
    target = rows("A", "/api/v1/quality", {"forecast": "string", "error": "number"}, root=each)
    text = "Median error a day ahead, in units of that of the forecast that is drawn; over a sample of the models."
    return table("Backtests: error of each forecast", 12, 7, target, sort="error", description=text)


def _spread() -> Panel:
    target = rows("A", "/api/v1/quality", dict.fromkeys(("from", "to", "series"), "number"), root="spread")
    share = [override(name, unit="percentunit") for name in ("from", "to")]
    return table("Series by measured coverage of their 95 % band", 12, 7, target, overrides=share)


def _taken() -> Panel:
    expr = "sum by (signal) (rate(foreband_stored_total[5m]))"
    return lines("Stored a second", 8, 8, over_time("A", expr, "{{signal}}", _SCRAPED), unit="short")


def _lost() -> Panel:
    targets = [
        over_time(ref, f"sum by (reason) (rate(foreband_{outcome}_total[5m]))", f"{outcome}: {{{{reason}}}}", _SCRAPED)
        for ref, outcome in (("A", "rejected"), ("B", "refused"))
    ]
    return lines("Rejected and refused a second", 8, 8, *targets, unit="short")


def _scraped_backlog() -> Panel:
    target = over_time("A", "foreband_fit_backlog_age_seconds", "the most overdue fit", _SCRAPED)
    return lines("Backlog of fits", 8, 8, target, unit="s")


def _scraper() -> Json:
    """Choose the Prometheus that scrapes `/metrics`; where there is none, Foreband, which has no past of these."""
    return {
        "name": "scraped",
        "label": "Prometheus that scrapes it",
        "type": "datasource",
        "query": PROMETHEUS["type"],
        "current": {"text": "Foreband", "value": PROMETHEUS["uid"]},
        "includeAll": False,
        "multi": False,
    }
