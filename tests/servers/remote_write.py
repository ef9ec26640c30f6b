"""Write samples into a Prometheus as remote write does; it is the one way that carries the end of a series."""

import struct
from collections.abc import Iterable
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import numpy.typing as npt

from collector_processor.telemetry.points import Int64

Values = npt.NDArray[np.floating[Any]]


def push(url: str, series: Iterable[tuple[dict[str, str], Int64, Values]]) -> None:
    """Send label sets with times (ms) and values in one request, so that they may reach far back."""
    body = b"".join(_field(1, _series(*each)) for each in series)
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    with urlopen(Request(f"{url}/api/v1/write", _snappy(body), headers), timeout=30) as response:
        assert response.status == 204


def _series(labels: dict[str, str], time: Int64, value: Values) -> bytes:
    pairs = [_field(1, _field(1, name.encode()) + _field(2, text.encode())) for name, text in sorted(labels.items())]
    raw = value.astype("<f8").tobytes()
    samples = [
        _field(2, b"\x09" + raw[8 * i : 8 * i + 8] + b"\x10" + _varint(at)) for i, at in enumerate(time.tolist())
    ]
    return b"".join(pairs + samples)


def _field(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _snappy(body: bytes) -> bytes:
    """Frame bytes as snappy literals, uncompressed."""
    pieces = [body[at : at + (1 << 20)] for at in range(0, len(body), 1 << 20)]
    return _varint(len(body)) + b"".join(b"\xfc" + struct.pack("<I", len(piece) - 1) + piece for piece in pieces)
