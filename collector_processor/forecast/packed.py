"""A model's numbers as bytes: a header that says the layout, then one row of it.

Models of one design with as many changepoints have the same header, so that the rows of a whole fleet are read as a few
arrays. Beside what Prophet fitted, a row has what follows from it and is needed to judge: nobody computes it again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from collector_processor.forecast.columns import (
    DERIVED,
    SCALARS,
    TIMES,
    VECTORS,
    Columns,
    columns_of,
    places,
    theta_of,
)
from collector_processor.forecast.design import DEFAULT_DESIGN, Design
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.local_time import check_time_zone
from collector_processor.forecast.seasonal import SLOTS, FittedSeasonal
from collector_processor.telemetry.points import Float64, Int64

MEDIANS = 2
"""Of the day, which share their time zone."""

_MAGIC = b"FBm1"
_LARGEST = np.iinfo(np.int16).max
_LENGTH_BYTES = 4

Rows = npt.NDArray[np.void]
"""Array (n,) of a layout's dtype."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a header says: whose rows these are.

    `design` is None where there is no Prophet; `beta` names the parts of it that are in the models, in Prophet's order.
    `time_zone` is that of the medians of the day.
    """

    design: Design | None
    changepoints: int
    beta: tuple[str, ...]
    time_zone: str

    def dtype(self, header: bytes) -> np.dtype[np.void]:
        """Return the type of a row, with its header in front."""
        fields: list[tuple[Any, ...]] = [("header", f"V{len(header)}"), ("std", "<f8")]
        fields += [(name, "<f8", (MEDIANS,)) for name in ("profile_offset", "profile_scale")]
        fields += [("profile", "<i2", (SLOTS, MEDIANS))]
        if self.design is not None:
            fields += [(name, "<i8") for name in TIMES]
            fields += [(name, "<f8") for name in (*SCALARS, *DERIVED)]
            fields += [(name, "<f8", (self.changepoints,)) for name in VECTORS]
            fields += [("coefficients", "<f8", (sum(self.design.part(name).width for name in self.beta),))]
        return np.dtype(fields)

    def theta(self, rows: Rows) -> Float64:
        """Return the rows `(n, P)` of the design's theta."""
        assert self.design is not None
        return theta_of(self.design, self.beta, rows)

    def prophet(self, row: Any) -> FittedProphet | None:
        """Return the Prophet of one row."""
        if self.design is None:
            return None
        return FittedProphet(
            start_unix_nano=int(row["start_unix_nano"]),
            span_nano=int(row["span_nano"]),
            delta=row["delta"],
            changepoint=row["changepoint"],
            beta={name: row["coefficients"][columns] for name, columns in places(self.design, self.beta).items()},
            design=self.design,
            **{name: float(row[name]) for name in SCALARS},
        )

    def medians(self, row: Any) -> tuple[FittedSeasonal, ...]:
        """Return the medians of the day of one row."""
        profile = row["profile_offset"] + row["profile_scale"] * row["profile"]
        return tuple(FittedSeasonal(column, self.time_zone) for column in profile.T)


def pack(prophet: FittedProphet | None, medians: Sequence[FittedSeasonal], std: float) -> bytes:
    """Write one model: `medians` of the day are the seasonal and the recent one, `std` is that of the series."""
    profile = np.array([[day.profile for day in medians]])
    columns = None if prophet is None else columns_of([prophet])
    return pack_columns(columns, medians[0].time_zone, profile, np.array([std]))[0]


def pack_columns(prophets: Columns | None, time_zone: str, profile: Float64, std: Float64) -> list[bytes]:
    """Write models of one layout: medians of the day `(n, 2, 96)`, standard deviations of the series `(n,)`."""
    layout = Layout(None, 0, (), time_zone)
    if prophets is not None:
        layout = Layout(prophets.design, prophets.changepoints, prophets.beta, time_zone)
    header = _header(layout)
    rows = np.zeros(std.size, _known(header)[1])
    rows["header"], rows["std"] = np.void(header), std
    _put_medians(rows, profile)
    if prophets is not None:
        for name, column in prophets.numbers.items():
            rows[name] = column
    body, size = rows.tobytes(), rows.itemsize
    return [body[first : first + size] for first in range(0, len(body), size)]


def unpack(packed: bytes) -> tuple[FittedProphet | None, tuple[FittedSeasonal, ...], float]:
    """Read what `pack` wrote; medians are rounded to 30 millionths of what a day ranges over.

    Raises:
        KeyError, TypeError, ValueError: if it is something else.
    """
    for layout, _, rows in unpacked([packed]):
        return layout.prophet(rows[0]), layout.medians(rows[0]), float(rows[0]["std"])
    raise ValueError("these are no parameters of a model that this version of Foreband wrote")


def unpacked(packed: Sequence[bytes]) -> Iterator[tuple[Layout, Int64, Rows]]:
    """Yield models of one layout together: which of `packed` they are `(n,)`, and their rows.

    What can't be read is left out.
    """
    by_header: dict[bytes, list[int]] = {}
    for i, body in enumerate(packed):
        size = int.from_bytes(body[len(_MAGIC) : len(_MAGIC) + _LENGTH_BYTES], "little")
        by_header.setdefault(body[: len(_MAGIC) + _LENGTH_BYTES + size], []).append(i)
    for header, which in by_header.items():
        try:
            layout, dtype = _known(header)
        except (KeyError, TypeError, ValueError):
            continue
        whole = [i for i in which if len(packed[i]) == dtype.itemsize]
        rows = np.frombuffer(b"".join([packed[i] for i in whole]), dtype)
        sound = _is_sound(layout, rows)
        if sound.any():
            yield layout, np.array(whole, np.int64)[sound], rows if sound.all() else rows[sound]


@lru_cache(maxsize=1024)
def _header(layout: Layout) -> bytes:
    said = {
        "design": None if layout.design in {None, DEFAULT_DESIGN} else layout.design.description(),
        "changepoints": layout.changepoints,
        "beta": layout.beta,
        "time_zone": layout.time_zone,
    }
    text = orjson.dumps(said)
    return _MAGIC + len(text).to_bytes(_LENGTH_BYTES, "little") + text


@lru_cache(maxsize=1024)
def _known(header: bytes) -> tuple[Layout, np.dtype[np.void]]:
    """Return what a header says.

    Raises:
        KeyError, TypeError, ValueError: if it is none.
    """
    if not header.startswith(_MAGIC):
        raise ValueError("not the parameters of a model")
    said = orjson.loads(header[len(_MAGIC) + _LENGTH_BYTES :])
    design = None
    if said["changepoints"]:
        design = DEFAULT_DESIGN if said["design"] is None else Design.from_description(said["design"])
    check_time_zone(said["time_zone"])
    layout = Layout(design, int(said["changepoints"]), tuple(said["beta"]), said["time_zone"])
    return layout, layout.dtype(header)


def _put_medians(rows: Rows, profile: Float64) -> None:
    """Write days `(n, 2, 96)` as whole numbers around the middle of each, however far from 0 that is."""
    low, high = profile.min(axis=2), profile.max(axis=2)
    step = high / (2 * _LARGEST) - low / (2 * _LARGEST)
    rows["profile_offset"] = low / 2 + high / 2
    rows["profile_scale"] = np.where(step > 0.0, step, 1.0)
    steps = np.rint((profile - rows["profile_offset"][..., np.newaxis]) / rows["profile_scale"][..., np.newaxis])
    rows["profile"] = np.clip(steps, -_LARGEST, _LARGEST).transpose(0, 2, 1)  # for the middle is rounded, too


def _is_sound(layout: Layout, rows: Rows) -> npt.NDArray[np.bool_]:
    """Tell which rows are numbers throughout; a standard deviation may be unknown."""
    sound = np.ones(rows.size, np.bool_)
    if layout.design is not None:
        sound &= rows["span_nano"] > 0
    for name in rows.dtype.names or ():
        if name not in {"header", "std"} and rows[name].dtype.kind == "f":
            sound &= np.isfinite(rows[name].reshape(rows.size, -1)).all(axis=1)
    return sound
