"""Bytes at rest: columns of numbers behind a codec byte, bodies behind a checksum.

SQLite has no page checksums, so a flipped bit in a body would be read as data. Every body is therefore sealed with a
CRC-32 that starts from its row's key: damage, and a body under another row's key, are noticed on reading.
"""

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from collector_processor.store.faults import DamagedStoreError

try:
    from pcodec import ChunkConfig
    from pcodec.standalone import simple_compress, simple_decompress
except ImportError:  # a platform without a wheel: larger, still readable
    ChunkConfig = None

Bytes = bytes | memoryview

_RAW, _ZLIB, _PCODEC = 0, 1, 2
_PCODEC_CONFIG = ChunkConfig() if ChunkConfig is not None else None
_FAST_CONFIG = ChunkConfig(compression_level=4) if ChunkConfig is not None else None
_CRC_BYTES = 4


def seal(body: bytes, key: int = 0) -> bytes:
    """Append a checksum of `body` and its row's `key`."""
    return body + zlib.crc32(body, key & 0xFFFFFFFF).to_bytes(_CRC_BYTES, "little")


def unseal(sealed: object, key: int = 0, what: str = "a row") -> bytes:
    """Return the body.

    Raises:
        DamagedStoreError: if it is not what was sealed under this key.
    """
    if not isinstance(sealed, bytes):  # damage can change the type of a column
        raise DamagedStoreError(f"{what} {key} has no body")
    body = sealed[:-_CRC_BYTES]
    if zlib.crc32(body, key & 0xFFFFFFFF).to_bytes(_CRC_BYTES, "little") != sealed[-_CRC_BYTES:]:
        raise DamagedStoreError(f"{what} {key} fails its checksum")
    return body


def text_key(name: str | bytes) -> int:
    """Return the seal key of a row that is found by text."""
    return zlib.crc32(name.encode() if isinstance(name, str) else name)


def encode_column(column: npt.NDArray[Any]) -> bytes:
    """Compress an int64 or float64 column without loss; NaN payloads and -0.0 survive."""
    raw = column.tobytes()
    packed = _zlib(column) if _PCODEC_CONFIG is None else _pcodec(column, _PCODEC_CONFIG)
    return packed if len(packed) <= len(raw) else bytes([_RAW]) + raw


def encode_raw(column: npt.NDArray[Any]) -> bytes:
    """Return a column as it is, for what is soon written again."""
    return bytes([_RAW]) + column.tobytes()


def encode_block(block: npt.NDArray[Any]) -> bytes:
    """Compress a matrix, in a third of a column's time to a tenth more; `decode_column` returns it row by row."""
    flat = np.ascontiguousarray(block).ravel()
    return _zlib(flat) if _FAST_CONFIG is None else _pcodec(flat, _FAST_CONFIG)


def decode_column(blob: Bytes, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the column that `encode_column` wrote.

    Raises:
        DamagedStoreError: if its codec is unknown here.
    """
    codec, payload = blob[0], blob[1:]
    if codec == _RAW:
        return np.frombuffer(payload, dtype)
    if codec == _ZLIB:
        return _unzlib(payload, np.dtype(dtype))
    if codec == _PCODEC and _PCODEC_CONFIG is not None:
        column: npt.NDArray[Any] = simple_decompress(bytes(payload))
        return column
    raise DamagedStoreError(f"codec {codec} is not readable here; is the package pcodec installed?")


def join(sections: list[bytes]) -> bytes:
    """Join sections into one body, each behind its length."""
    return b"".join(part for section in sections for part in (len(section).to_bytes(4, "little"), section))


def split(body: bytes) -> list[memoryview]:
    """Return the sections of `join`."""
    view, sections, at = memoryview(body), [], 0
    while at < len(view):
        size = int.from_bytes(view[at : at + 4], "little")
        sections.append(view[at + 4 : at + 4 + size])
        at += 4 + size
    return sections


def _pcodec(column: npt.NDArray[Any], config: Any) -> bytes:
    payload: bytes = simple_compress(np.ascontiguousarray(column), config)
    return bytes([_PCODEC]) + payload


def _zlib(column: npt.NDArray[Any]) -> bytes:
    """Compress byte planes, of differences where the column is whole numbers: neighbours share their high bytes."""
    steps = np.diff(column, prepend=column.dtype.type(0)) if column.dtype.kind == "i" else column
    planes = np.ascontiguousarray(steps).view(np.uint8).reshape(-1, column.itemsize).T
    return bytes([_ZLIB]) + zlib.compress(planes.tobytes(), 1)


def _unzlib(payload: Bytes, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    planes = np.frombuffer(zlib.decompress(payload), np.uint8).reshape(dtype.itemsize, -1)
    steps = np.ascontiguousarray(planes.T).reshape(-1).view(dtype)
    return np.cumsum(steps, dtype=dtype) if dtype.kind == "i" else steps
