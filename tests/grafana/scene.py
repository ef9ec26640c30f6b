"""A small shop and a host as Foreband would have stored them: points, verdicts, models, bands and episodes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from collector_processor.clock import DAY, HOUR, MINUTE
from collector_processor.forecast.bands import alert_band, clipped_yhat
from collector_processor.forecast.design import DEFAULT_DESIGN
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.fleet import FleetModel
from collector_processor.forecast.packed import pack
from collector_processor.forecast.seasonal import SeasonalForecaster
from collector_processor.store.base import Commit
from collector_processor.store.settings import StoreSettings
from collector_processor.store.sqlite import open_writer
from collector_processor.telemetry.band import LEVEL, BandStates, Reason, unknown_bands
from collector_processor.telemetry.episode import Episode
from collector_processor.telemetry.exemplar import TraceLink
from collector_processor.telemetry.incident import Cause, Evidence, Incident, Member
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Float64, Int64, PointBatch
from collector_processor.telemetry.proof import PROOF_BLOB, Power, Proof
from collector_processor.telemetry.series import Attributes, Kind, Scope, SeriesKey, Statistic
from collector_processor.telemetry.service_graph import GRAPH_BLOB, Edge, ServiceGraph
from collector_processor.telemetry.verdict import VerdictBatch
from tests.forecast.fleets import forecasts_of

NOW = 1_789_000_020_000_000_000 // MINUTE * MINUTE
"""A fixed moment on a whole minute."""

_SHOP: Attributes = (("service.name", "checkout"), ("service.namespace", "shop"))
_HOST: Attributes = (("host.name", "node-7"), ("service.name", "host"))


def _span(metric: str, statistic: Statistic, name: str, unit: str) -> SeriesKey:
    attributes: Attributes = (("span.kind", "server"), ("span.name", name))
    return SeriesKey(_SHOP, Scope(), metric, unit, Kind.SPAN, statistic, attributes)


def _gauge(metric: str, unit: str, *attributes: tuple[str, str], resource: Attributes = _HOST) -> SeriesKey:
    return SeriesKey(resource, Scope("psutil"), metric, unit, Kind.GAUGE, Statistic.VALUE, tuple(sorted(attributes)))


CALLS = _span("traces.span.calls", Statistic.RATE, "GET /cart", "{span}/s")
DURATION = _span("traces.span.duration", Statistic.P95, "GET /cart", "s")
ERRORS = _span("traces.span.errors", Statistic.ERROR_RATIO, "GET /cart", "1")
PAY = _span("traces.span.calls", Statistic.RATE, "POST /pay", "{span}/s")
LOGS = SeriesKey(_SHOP, Scope(), "logs.records", "{record}/s", Kind.LOG, Statistic.RATE, (("severity", "ERROR"),))
CPU = _gauge("system.cpu.utilization", "1", ("cpu.mode", "user"))
MEMORY = _gauge("system.memory.usage", "By", ("state", "used"))
GAPPY = _gauge("system.disk.io_time", "s", ("device", 'sd"a\\b\n'))
WARMING = _gauge("queue.length", "{message}", resource=(("service.name", "mailer"),))
SILENT = _gauge("queue.age", "s", resource=(("service.name", "mailer"),))
TOTAL = SeriesKey(
    _HOST, Scope("psutil"), "system.network.io", "By", Kind.COUNTER_CUMULATIVE, Statistic.TOTAL, (("device", "eth0"),)
)
TWIN = SeriesKey(_HOST, Scope("other"), CPU.metric, CPU.unit, CPU.kind, CPU.statistic, CPU.attributes)

KEYS = [CALLS, DURATION, ERRORS, PAY, LOGS, CPU, MEMORY, GAPPY, WARMING, SILENT, TOTAL, TWIN]
SHOP = [CALLS, DURATION, ERRORS]
INCIDENT_ID = "0123456789abcdef"
MODELLED = [CALLS, DURATION, ERRORS, PAY, LOGS, CPU, MEMORY, GAPPY]


TRACE, SPAN = bytes(range(1, 17)), bytes(range(1, 9))
"""Where one of DURATION's measurements was made, twenty hours ago."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where the store is and what is in it."""

    directory: Path
    now: int
    keys: list[SeriesKey]

    def id_of(self, key: SeriesKey) -> str:
        return key.stable_id


def write_scene(directory: Path, *, now: int = NOW, days: int = 3, step: int = MINUTE) -> Scene:
    """Write `days` days of one point per `step` into a new store."""
    random = np.random.default_rng(7)
    times = np.arange(now - days * DAY, now + 1, step, dtype=np.int64)
    values = {KEYS.index(key): _values(key, times, now, random) for key in MODELLED}
    records = [_model(series, times, value, now) for series, value in values.items()]
    fleet = FleetModel.from_records(records)
    bands = _bands(fleet, values, times)
    points, verdicts = _judged(fleet, bands, values, times)
    extra = [
        _points(KEYS.index(WARMING), times[-90:], _walk(random, 90)),
        _points(KEYS.index(TOTAL), times, 1e6 * np.arange(times.size, dtype=np.float64)),
        _points(KEYS.index(TWIN), times[-90:], np.full(90, 0.5)),
    ]
    writer = open_writer(directory, StoreSettings(retention_nano=60 * DAY))
    try:
        writer.commit(
            Commit(
                series=list(enumerate(KEYS)),
                points=points,
                verdicts=verdicts,
                models=records,
                bands={0: bands},
                episodes=(episodes := _episodes(points, verdicts, now)),
                incidents=[_incident(episodes, now)],
                exemplars=[TraceLink(KEYS.index(DURATION), now - 20 * HOUR, 0.4, TRACE, SPAN)],
                blobs={PROOF_BLOB: orjson.dumps(proof(now).fields()), GRAPH_BLOB: graph(now).to_bytes()},
            )
        )
        for batch in extra:
            writer.commit(Commit(points=batch))
    finally:
        writer.close()
    return Scene(directory, now, KEYS)


def proof(now: int) -> Proof:
    """Return what canaries are said to have shown four minutes ago."""
    return Proof(now - 4 * MINUTE, (Power("spike", 3.0, 40, 38, 0.0), Power("drift", 3.0, 40, 0, None)))


def graph(now: int) -> ServiceGraph:
    """Return who called whom during the last hour."""
    called = (("web", "checkout", False, 95.0), ("checkout", "postgres", True, 60.0), ("web", "postgres", True, 3.0))
    return ServiceGraph(now - HOUR, now - MINUTE, tuple(Edge(*each, errors=0.1, seconds=0.02) for each in called))


def _values(key: SeriesKey, times: Int64, now: int, random: np.random.Generator) -> Float64:
    turn = 2 * np.pi * (times % DAY) / DAY
    ago = (now - times) / HOUR
    noise = random.normal(0.0, 1.0, times.size)
    day = 1.0 - np.cos(turn - 0.6) + 0.25 * np.sin(2 * turn)
    if key is CALLS:
        return np.maximum((40 + 55 * day + 3.2 * noise) * np.where(ago < 0.6, 0.42, 1.0), 0.0)
    if key is DURATION:
        slow = np.where((ago > 19.2) & (ago < 20.4), 0.24, 0.0)
        return np.maximum(0.12 + 0.05 * day + slow + 0.008 * noise, 0.01)
    if key is ERRORS:
        burst = np.where((ago > 19.0) & (ago < 20.2), 0.08, 0.0)
        return np.clip(0.004 + burst + 0.002 * np.abs(noise), 0.0, 1.0)
    if key is PAY:
        return np.maximum(9 + 8 * day + 1.1 * noise, 0.0)
    if key is LOGS:
        return np.maximum(0.2 + np.where((ago > 19.0) & (ago < 20.2), 3.0, 0.0) + 0.08 * noise, 0.0)
    if key is CPU:
        return np.clip(0.22 + 0.16 * day + 0.03 * noise, 0.0, 1.0)
    if key is MEMORY:
        return np.asarray(6.1e9 + 2.2e7 * (times - times[0]) / HOUR + 1.2e8 * day + 2.4e7 * noise)
    gappy = 0.3 + 0.05 * day + 0.01 * noise
    gappy[(ago > 9) & (ago < 13)] = np.nan
    return gappy


def _walk(random: np.random.Generator, n: int) -> Float64:
    return np.asarray(40 + np.cumsum(random.normal(0, 1, n)), np.float64)


def _model(series: int, times: Int64, value: Float64, now: int) -> ModelRecord:
    seen = np.isfinite(value)
    seasonal = SeasonalForecaster().fit(times, value)
    daily = DEFAULT_DESIGN.part("daily").evaluate(times[seen])
    scaled = (times[seen] - times[0]) / (times[-1] - times[0])
    basis = np.column_stack([np.ones(scaled.size), scaled, daily])
    m, k, *beta = np.linalg.lstsq(basis, value[seen], rcond=None)[0]
    prophet = FittedProphet(
        start_unix_nano=int(times[0]),
        span_nano=int(times[-1] - times[0]),
        k=float(k),
        m=float(m),
        delta=np.full(1, 1e-6),
        changepoint=np.zeros(1),
        beta={"daily": np.array(beta)},
        y_scale=1.0,
        y_offset=0.0,
        sigma_obs=float(np.std(value[seen] - basis @ np.array([m, k, *beta]))),
    )
    winner = "seasonal" if KEYS[series] in {ERRORS, LOGS} else "prophet"
    return ModelRecord(
        series,
        1,
        now - 20 * MINUTE,
        int(times[0]),
        now - 20 * MINUTE,
        winner,
        f"{winner} missed by 4.1 % on the last three days, the other by 6.0 %",
        pack(prophet, [seasonal, seasonal], float(np.std(value[seen]))),
    )


def _bands(fleet: FleetModel, values: dict[int, Float64], times: Int64) -> BandStates:
    bands = unknown_bands(len(KEYS) - 1)
    for series, value in values.items():
        residual = value[:, np.newaxis] - forecasts_of(fleet, series, times)[:, :LEVEL]
        row = bands[series]
        row["tolerance"][:LEVEL], row["threshold"] = 5.2 * np.nanmedian(np.abs(residual), axis=0), 1.1
        for level, tail in enumerate((0.10, 0.025, 0.005)):
            row["offset_lower"][level] = np.nanquantile(residual[:, 0], tail)
            row["offset_upper"][level] = np.nanquantile(residual[:, 0], 1 - tail)
        row["scored"], row["inside"] = 4000, (3190, 3790, 3955)
        row["state"], row["reason"] = 1, Reason.NONE
    bands[KEYS.index(WARMING)]["reason"] = Reason.SHORT_HISTORY
    degraded = bands[KEYS.index(GAPPY)]
    degraded["state"], degraded["reason"] = 2, Reason.FIT_FAILED
    return bands


def _judged(
    fleet: FleetModel, bands: BandStates, values: dict[int, Float64], times: Int64
) -> tuple[PointBatch, VerdictBatch]:
    batches, verdicts = [], []
    for series, value in values.items():
        forecasts = forecasts_of(fleet, series, times)
        state = np.broadcast_to(bands[series], times.shape)
        band = alert_band(forecasts, state["tolerance"], state["threshold"])
        yhat = clipped_yhat(forecasts, fleet.winners(np.full(times.size, series, np.int32)), band)
        above = value >= yhat
        with np.errstate(invalid="ignore"):
            score = (value - yhat) / np.where(above, band.upper - yhat, yhat - band.lower)
        warm = times > times[0] + DAY
        flag = np.where(warm & (np.abs(score) > 1), np.sign(score), 0)
        batches.append(_points(series, times, value))
        verdicts.append(VerdictBatch(yhat, band.lower, band.upper, score, np.nan_to_num(flag).astype(np.int8)))
    return PointBatch.concat(batches), VerdictBatch(
        yhat=np.concatenate([v.yhat for v in verdicts]),
        lower=np.concatenate([v.lower for v in verdicts]),
        upper=np.concatenate([v.upper for v in verdicts]),
        score=np.concatenate([v.score for v in verdicts]),
        anomaly=np.concatenate([v.anomaly for v in verdicts]),
    )


def _episodes(points: PointBatch, verdicts: VerdictBatch, now: int) -> list[Episode]:
    """Join flags that lie less than ten minutes apart."""
    found = []
    for series in np.unique(points.series):
        rows = np.flatnonzero((points.series == series) & (verdicts.anomaly != 0))
        for part in np.split(rows, np.flatnonzero(np.diff(points.time_unix_nano[rows]) > 10 * MINUTE) + 1):
            if part.size < 5:
                continue
            peak = part[np.argmax(np.abs(verdicts.score[part]))]
            last = int(points.time_unix_nano[part[-1]])
            is_open = last > now - 10 * MINUTE
            found.append(
                Episode(
                    f"{series}-{part[0]}",
                    int(series),
                    int(points.time_unix_nano[part[0]]),
                    None if is_open else last + 5 * MINUTE,
                    last,
                    int(verdicts.anomaly[peak]),
                    float(verdicts.score[peak]),
                    float(points.value[peak]),
                    float(verdicts.yhat[peak]),
                    float(verdicts.lower[peak]),
                    float(verdicts.upper[peak]),
                    "" if is_open else "returned",
                )
            )
    return found


def _incident(episodes: list[Episode], now: int) -> Incident:
    """Return the incident that the shop's episodes are said to be."""
    members = tuple(
        Member.of(KEYS[each.series], KEYS[each.series].metric, each) for each in episodes if KEYS[each.series] in SHOP
    )
    evidence = Evidence("duration", "GET /cart p95 duration rose from 0.2 to 0.9", 3.4)
    return Incident(
        incident_id=INCIDENT_ID,
        start_unix_nano=min(member.start_unix_nano for member in members),
        opened_unix_nano=now - 4 * MINUTE,
        end_unix_nano=None,
        entities=("checkout",),
        members=members,
        causes=(Cause("checkout", is_peer=False, score=0.8, series=DURATION.stable_id, evidence=(evidence,)),),
        sentence="2 series of checkout went out of their usual range; the likeliest cause is checkout (80%).",
    )


def _points(series: int, times: Int64, value: Float64) -> PointBatch:
    return PointBatch(np.full(times.size, series, np.int32), times, np.asarray(value, np.float64))
