"""The models a store holds, for people and for the prophet library: `foreband models`."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from rich.markup import escape
from rich.table import Table

from collector_processor.clock import DAY, NANOS_PER_SECOND
from collector_processor.errors import ForebandError
from collector_processor.forecast.design import DEFAULT_DESIGN, Occasion, Part, Seasonality
from collector_processor.forecast.export import History, export_json
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.packed import unpack
from collector_processor.forecast.resample import means
from collector_processor.forecast.settings import ProphetSettings
from collector_processor.inspection.wording import moment
from collector_processor.store.sqlite import open_reader
from collector_processor.telemetry.model import ModelRecord
from collector_processor.telemetry.points import Int64
from collector_processor.telemetry.series import SeriesKey
from collector_processor.telemetry.titles import full_title


class UnknownModelError(ForebandError):
    """No such series, or nothing that can be exported of it."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """The newest model of a series."""

    key: SeriesKey
    record: ModelRecord


def stored_models(directory: Path) -> list[StoredModel]:
    """Return the newest model of every series that has one, in order of service and title.

    Raises:
        StoreError: if the store can't be read.
    """
    with closing(open_reader(directory)) as reader:
        keys = dict(reader.catalog())
        models = [StoredModel(keys[record.series], record) for record in reader.models()]
    return sorted(models, key=lambda model: full_title(model.key))


def find_model(models: Sequence[StoredModel], stable_id: str) -> StoredModel:
    """Return the model of the series with that id.

    Raises:
        UnknownModelError: if there is none.
    """
    for model in models:
        if model.key.stable_id == stable_id:
            return model
    raise UnknownModelError(f"no series {stable_id!r} has a model; `foreband models list` shows those that have")


def table_of(models: Sequence[StoredModel]) -> Table:
    """Lay out models for people, one a row."""
    table = Table("id", "series", "version", "fitted at", "history", "drawn", "design", box=None, header_style="bold")
    for model in models:
        record = model.record
        days = (record.trained_end_unix_nano - record.trained_start_unix_nano) / NANOS_PER_SECOND / 86_400
        at = moment(record.created_unix_nano)
        fitted = _prophet(model)
        design = design_of(fitted) if fitted is not None else "-"
        row = (str(record.version), at, f"{days:.1f} d", record.forecaster, design)
        table.add_row(model.key.stable_id, escape(full_title(model.key)), *row)
    return table


def description_of(model: StoredModel) -> Table:
    """Lay out all that is worth knowing of one model."""
    record, fitted = model.record, _prophet(model)
    table = Table(box=None, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("series", escape(f"{full_title(model.key)} [{model.key.stable_id}]"))
    table.add_row("version", f"{record.version}, fitted at {moment(record.created_unix_nano)}")
    history = (record.trained_start_unix_nano, record.trained_end_unix_nano)
    table.add_row("history", " to ".join(map(moment, history)))
    table.add_row("drawn", record.forecaster)
    table.add_row("because", record.reason)
    if fitted is not None:
        trend = fitted.trend_parameters
        table.add_row("design", design_of(fitted))
        table.add_row("seasonalities", ", ".join(_names(fitted, Seasonality)) or "none")
        table.add_row("calendar", ", ".join(_names(fitted, Occasion)) or "none")
        for name, part in fitted.components(_moments(fitted)).items():
            table.add_row(name, f"{part.min():.4g} to {part.max():.4g}")
        table.add_row("changepoints", f"{np.count_nonzero(fitted.delta)} of {fitted.delta.size} in use")
        table.add_row("slope", f"{_slope(fitted):+.4g} a day at the end")
        table.add_row("noise", f"{trend.sigma:.4g} (standard deviation)")
    return table


def design_of(fitted: FittedProphet) -> str:
    """Name what is not usual about a model's design."""
    design = fitted.design
    words: list[str] = [design.growth] if design.growth != "linear" else []
    words += [design.mode] if design.mode != "additive" else []
    words += [design.time_zone] if design.time_zone != "UTC" else []
    own = {s.name for s in design.seasonalities} - {s.name for s in DEFAULT_DESIGN.seasonalities}
    words += sorted(own.intersection(fitted.beta)) + _names(fitted, Occasion)
    return ", ".join(words) or "default"


def as_prophet_json(directory: Path, model: StoredModel, step: int) -> str:
    """Return a model as genuine Prophet JSON, with means over `step` nanoseconds of the history still stored.

    Raises:
        StoreError: if the store can't be read.
        UnknownModelError: if Prophet was not fitted to the series.
    """
    fitted = _prophet(model)
    if fitted is None:
        raise UnknownModelError(f"{full_title(model.key)}: Prophet was not fitted yet; only its season is known")
    return export_json(fitted, _settings(model), _history(directory, model.record, step))


def _history(directory: Path, record: ModelRecord, step: int) -> History | None:
    start, end = record.trained_start_unix_nano, record.trained_end_unix_nano + 1
    with closing(open_reader(directory)) as reader:
        points = reader.read_points(np.array([record.series], np.int32), start, end)
    history = means(points.time_unix_nano, points.value, step)
    return history if history[0].size > 1 else None


def _prophet(model: StoredModel) -> FittedProphet | None:
    try:
        return unpack(model.record.parameters)[0]
    except ValueError as error:
        raise UnknownModelError(f"the model of {model.key.stable_id} can't be read: {error}") from error


def _settings(model: StoredModel) -> ProphetSettings:
    """Return what a model says of its settings; what else there was is in its design."""
    try:
        return ProphetSettings(**orjson.loads(model.record.provenance).get("settings", {}))
    except (TypeError, ValueError) as error:
        raise UnknownModelError(f"the settings of {model.key.stable_id} can't be read: {error}") from error


def _names(fitted: FittedProphet, kind: type[Part]) -> list[str]:
    return [name for name in fitted.beta if isinstance(fitted.design.part(name), kind)]


def _moments(fitted: FittedProphet) -> Int64:
    """Return times spread over the history, close enough to see the shape of a day in a month."""
    return fitted.start_unix_nano + np.linspace(0, fitted.span_nano, 2_000).astype(np.int64)


def _slope(fitted: FittedProphet) -> float:
    end = fitted.trained_end_unix_nano
    before, after = fitted.components(np.array([end, end + DAY]))["trend"]
    return float(after - before)
