"""Verdicts as records of the head: those that say something, rounded, each with the number of its point."""

from types import ModuleType

import numpy as np

from collector_processor.kernels import MUCH_POINTS, LateKernel
from collector_processor.store.verdict_codec import is_absent, rounded
from collector_processor.telemetry.points import Float64
from collector_processor.telemetry.verdict import VerdictBatch

_COLUMNS = ("yhat", "lower", "upper", "score", "anomaly")
_DTYPE = np.dtype(
    [
        ("row", "<u4"),
        ("yhat", "<f8"),
        ("lower", "<f8"),
        ("upper", "<f8"),
        ("score", "<f8"),
        ("anomaly", "i1"),
    ]
)


def pack(value: Float64, verdicts: VerdictBatch) -> bytes | None:
    """Return the records of verdicts on points of these values; None if no one says anything."""
    kernel = KERNEL.loaded_for(value.size)
    packed = _packed(rounded(value, verdicts)) if kernel is None else _compiled(kernel, value, verdicts)
    return packed.tobytes() if packed.size else None


def unpack(packed: bytes, points: int) -> VerdictBatch:
    """Return the verdicts on so many points, absent where nothing is said."""
    verdicts, records = VerdictBatch.absent(points), np.frombuffer(packed, _DTYPE)
    for name in _COLUMNS:
        getattr(verdicts, name)[records["row"]] = records[name]
    return verdicts


def _packed(verdicts: VerdictBatch) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    (said,) = np.nonzero(~is_absent(verdicts))
    packed = np.empty(said.size, _DTYPE)
    packed["row"] = said
    verdicts = verdicts if said.size == len(verdicts) else verdicts.take(said)
    for name in _COLUMNS:
        packed[name] = getattr(verdicts, name)
    return packed


def _compiled(kernel: ModuleType, value: Float64, verdicts: VerdictBatch) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    packed = np.empty(value.size, _DTYPE)
    columns = (np.ascontiguousarray(getattr(verdicts, name)) for name in _COLUMNS)  # as it is compiled for
    said: int = kernel.pack(np.ascontiguousarray(value), *columns, packed)
    return packed[:said]


def _loaded() -> ModuleType:
    from collector_processor.store import verdict_kernel

    _compiled(verdict_kernel, np.zeros(1), VerdictBatch.absent(1))
    return verdict_kernel


KERNEL = LateKernel("packing verdicts", _loaded, MUCH_POINTS)
