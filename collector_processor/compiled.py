"""Compile functions with numba, and keep the machine code where it can be kept."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba

_F = TypeVar("_F", bound=Callable[..., Any])
_EXACT: Final[dict[str, Any]] = {"nogil": True, "error_model": "numpy"}
_OPTIONS: Final[dict[str, Any]] = {
    **_EXACT,
    "fastmath": {"reassoc", "contract", "nsz"},  # vectorised sums, but NaN and infinity keep their meaning
}


_ONLY_INSIDE: Final[dict[str, Any]] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def pasted(function: _F) -> _F:
    """Paste a function into the compiled ones that call it: a call would count references to the arrays it is given."""
    return cast(_F, numba.njit(inline="always")(function))


def compiled(function: _F) -> _F:
    """Compile a function that only compiled functions call."""
    return cast(_F, numba.njit(**_OPTIONS, **_ONLY_INSIDE)(function))


def exact(function: _F) -> _F:
    """Compile, for compiled functions, one whose sums are taken as they are written: NumPy finds the same bits."""
    return cast(_F, numba.njit(**_EXACT, **_ONLY_INSIDE)(function))


def entry(function: _F) -> _F:
    """Compile a function for Python to call; cached beside the source or in NUMBA_CACHE_DIR, or else in memory."""
    return _cached(function, _OPTIONS)


def exact_entry(function: _F) -> _F:
    """Compile a function for Python to call as `exact` does; cached as that of `entry`."""
    return _cached(function, _EXACT)


def _cached(function: _F, options: dict[str, Any]) -> _F:
    try:
        return cast(_F, numba.njit(cache=True, **options)(function))
    except RuntimeError:
        return cast(_F, numba.njit(**options)(function))


def source_digest(module: str) -> str:
    """Digest the sources of a room; `module` is the `__file__` of one of them.

    numba's cache notices a change in the file of an entry and in what the entry closes over, not in other files it
    calls into. An entry that closes over this digest is compiled anew when any of them changes.
    """
    return digest(*sorted(map(str, Path(module).parent.glob("*.py"))))


def digest(*files: str) -> str:
    """Digest some sources, as `source_digest` does those of a room."""
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()
