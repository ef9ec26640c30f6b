"""State per series as arrays that grow by doubling."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)


def grown(array: npt.NDArray[T], size: int, fill: Any, least: int = 64) -> npt.NDArray[T]:
    """Return `array` itself if it has `size` rows, else a copy at least twice and `least` long, filled with `fill`."""
    if size <= len(array):
        return array
    longer = np.full((max(size, 2 * len(array), least), *array.shape[1:]), fill, array.dtype)
    longer[: len(array)] = array
    return longer
