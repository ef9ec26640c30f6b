"""How good the models are, measured: coverage against its promise, backtest errors, who is drawn, ages."""

from collections import Counter
from typing import Any

import numpy as np
import orjson

from collector_processor.clock import NANOS_PER_SECOND
from collector_processor.telemetry.band import FORECASTS, INTERVAL_WIDTHS, REASON_TEXT, Reason
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Int32
from grafana_datasource.backend import Session
from grafana_datasource.naming import Names
from grafana_datasource.query import to_ms

_SAMPLE = 400
_ENOUGH = 288  # scored points before the coverage of one series means something
_BINS = (0.0, 0.80, 0.85, 0.90, 0.925, 0.95, 0.975, 1.0)
_LEVEL = INTERVAL_WIDTHS.index(0.95)


def quality(session: Session, names: Names) -> dict[str, Any]:
    """Return what is known of the models of all series that have points."""
    outlook = session.outlook
    known = np.flatnonzero(names.is_modelled & (outlook.last_time > 0)).astype(np.int32)
    fitted = known[outlook.fleet.versions(known) > 0]
    drawn = Counter(FORECASTS[winner] for winner in outlook.fleet.winners(fitted).tolist())
    reasons = np.bincount(outlook.bands["reason"][known], minlength=len(Reason))
    return {
        "now": to_ms(session.now),
        "series": known.size,
        "drawn": dict(drawn.most_common()),
        "unmodelled": known.size - fitted.size,
        "model_age": _ages(session, fitted),
        "reasons": {REASON_TEXT[each]: int(reasons[each]) for each in Reason if each and reasons[each]},
        "coverage": _coverage(session, known),
        "spread": _spread(session, known),
        "backtest": _backtests(session, fitted),
    }


def model_row(record: ModelRecord) -> dict[str, Any]:
    """Return what people are told of one version of a model."""
    return {
        "version": record.version,
        "created": to_ms(record.created_unix_nano),
        "trained_from": to_ms(record.trained_start_unix_nano),
        "trained_to": to_ms(record.trained_end_unix_nano),
        "forecaster": record.forecaster,
        "reason": record.reason,
        "errors": _errors(record),
    }


def _ages(session: Session, fitted: Int32) -> dict[str, float] | None:
    """Return quantiles of the age of models in seconds."""
    if not fitted.size:
        return None
    age = (session.now - session.outlook.fleet.fact("created_unix_nano", fitted)) / NANOS_PER_SECOND
    return dict(zip(("p50", "p90", "max"), np.quantile(age, (0.5, 0.9, 1.0)).tolist(), strict=True))


def _coverage(session: Session, known: Int32) -> list[dict[str, Any]]:
    """Return the measured share of scored points inside each calibrated band, over all series."""
    bands = session.outlook.bands[known]
    scored = int(bands["scored"].sum(dtype=np.int64))
    inside = bands["inside"].sum(axis=0, dtype=np.int64) / max(scored, 1)
    return [
        {"interval_width": width, "coverage": share if scored else None, "scored": scored}
        for width, share in zip(INTERVAL_WIDTHS, inside.tolist(), strict=True)
    ]


def _spread(session: Session, known: Int32) -> list[dict[str, Any]]:
    """Return how many series have which measured coverage of the 95 % band."""
    bands = session.outlook.bands[known]
    bands = bands[bands["scored"] >= _ENOUGH]
    share = bands["inside"][:, _LEVEL] / np.maximum(bands["scored"], 1)
    counts, _ = np.histogram(share, _BINS)
    bins = zip(_BINS, _BINS[1:], counts.tolist(), strict=False)
    return [{"from": low, "to": high, "series": count} for low, high, count in bins]


def _backtests(session: Session, fitted: Int32) -> dict[str, Any]:
    """Return the median error of each forecast relative to the one drawn, over a sample of the models."""
    sample = fitted[:: -(-fitted.size // _SAMPLE) or 1]
    versions = session.outlook.fleet.versions(sample)
    found = [session.reader.model(*each) for each in zip(sample.tolist(), versions.tolist(), strict=True)]
    tested = [(record.forecaster, _errors(record)) for record in found if record is not None]
    tested = [(drawn, errors) for drawn, errors in tested if errors.get(drawn)]
    relative: dict[str, list[float]] = {}
    for drawn, errors in tested:
        for name, error in errors.items():
            if error is not None:
                relative.setdefault(name, []).append(error / (errors[drawn] or 1.0))
    medians = {name: float(np.median(ratios)) for name, ratios in relative.items()}
    return {"sample": sample.size, "tested": len(tested), "relative_error": medians}


def _errors(record: ModelRecord) -> dict[str, float | None]:
    """Return the mean absolute error of each forecast one day ahead, empty where none was backtested."""
    if not record.provenance:
        return {}
    tested = orjson.loads(record.provenance).get("backtest")
    return dict(tested["mean_absolute_error"]) if tested else {}
