"""Fit a batch of series on one grid at the exact optimum of Prophet's additive model with linear or flat growth.

    batch = solve(y, build_regressors(grid, settings))
    fitted = batch.fitted(0)  # a FittedProphet, as the prophet library would have given

A series without a fit is left to the caller, who may hand it to the prophet library.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from collector_processor.forecast.columns import Columns, with_derived
from collector_processor.forecast.design import Seasonality
from collector_processor.forecast.fitted import FittedProphet
from collector_processor.forecast.kernel.layout import KM_VARIANCE, Result, Shared, Warm
from collector_processor.forecast.regressors import Regressors, is_enabled
from collector_processor.telemetry.points import Bool, Float64, Int32, Int64

_FIXED = 1e200
"""A prior precision that leaves a parameter at zero, to all digits: flat growth is linear growth without a slope."""

Rows = Float64 | npt.NDArray[np.float32]


class Status(IntEnum):
    """How the fit of a series ended."""

    CONVERGED = 0
    CONSTANT = 1  # all values equal: Prophet's own shortcut, sigma 1e-9
    EXACT = 2  # the model explains every value: sigma at its floor
    TOO_SHORT = 3  # fewer than two observed points; parameters are NaN
    NOT_CONVERGED = 4  # parameters are NaN; the prophet library may still fit it


@dataclass(frozen=True, slots=True, eq=False)
class BatchFit:
    """Parameters of B series in Prophet's convention: y = y_offset + y_scale * (trend(t) + features @ beta) + noise.

    `beta (B, K)` follows `regressors.parts`, 0 where a series has a seasonality switched off (`seasonal (B, parts)`).
    `delta (B, C)` and `changepoint (B, C)`, scaled times, are 0 and NaN beyond a series' own changepoints. `used (B,)`
    counts the points that were not masked.
    """

    regressors: Regressors = field(repr=False)
    status: Int32
    seasonal: Bool
    k: Float64
    m: Float64
    delta: Float64
    beta: Float64
    sigma: Float64
    changepoint: Float64
    start_unix_nano: Int64
    span_nano: Int64
    y_scale: Float64
    y_offset: Float64
    used: Int64

    @property
    def is_fitted(self) -> Bool:
        """Tell which series have parameters `(B,)`."""
        return self.status < Status.TOO_SHORT

    def __len__(self) -> int:
        return len(self.status)

    def fitted(self, series: int) -> FittedProphet | None:
        """Return one series as the fleet keeps it, None without a fit."""
        return self.all_fitted(slice(series, series + 1))[0]

    def all_fitted(self, which: slice = slice(None)) -> list[FittedProphet | None]:
        """Return some series as the fleet keeps them, None without a fit."""
        names = ("status", "start_unix_nano", "span_nano", "k", "m", "y_scale", "y_offset", "sigma")
        scalars = zip(*(getattr(self, name)[which].tolist() for name in names), strict=True)
        placed = np.count_nonzero(~np.isnan(self.changepoint[which]), axis=1).tolist()
        vectors = zip(self.delta[which], self.changepoint[which], self.beta[which], strict=True)
        parts = self._parts(which)
        return [
            None
            if status >= Status.TOO_SHORT
            else FittedProphet(
                start_unix_nano=start,
                span_nano=span,
                k=k,
                m=m,
                delta=delta[:count],
                changepoint=changepoint[:count],
                beta={name: beta[columns] for name, columns in named},
                y_scale=scale,
                y_offset=offset,
                sigma_obs=sigma,
                design=self.regressors.design,
            )
            for (status, start, span, k, m, scale, offset, sigma), (delta, changepoint, beta), count, named in zip(
                scalars, vectors, placed, parts, strict=True
            )
        ]

    def columns(self) -> list[tuple[Int64, Columns]]:
        """Return the fitted series by layout: which of the batch they are `(n,)`, and their models."""
        placed = np.count_nonzero(~np.isnan(self.changepoint), axis=1)
        kinds, kind = np.unique(np.column_stack([placed, self.seasonal]), axis=0, return_inverse=True)
        members = [np.flatnonzero((kind.ravel() == i) & self.is_fitted) for i in range(len(kinds))]
        return [(which, self._columns_of(which)) for which in members if which.size]

    def _columns_of(self, which: Int64) -> Columns:
        """Return series of one layout."""
        placed = np.count_nonzero(~np.isnan(self.changepoint[which[0]]))
        (parts,) = self._parts(slice(which[0], which[0] + 1))
        numbers = {
            name: getattr(self, name)[which]
            for name in ("start_unix_nano", "span_nano", "k", "m", "y_scale", "y_offset")
        }
        numbers["sigma_obs"] = self.sigma[which]
        numbers["delta"], numbers["changepoint"] = self.delta[which, :placed], self.changepoint[which, :placed]
        chosen = [np.arange(columns.start, columns.stop) for _, columns in parts]
        numbers["coefficients"] = self.beta[np.ix_(which, np.concatenate([np.empty(0, np.int64), *chosen]))]
        return with_derived(self.regressors.design, [name for name, _ in parts], numbers)

    def _parts(self, which: slice) -> list[list[tuple[str, slice]]]:
        """Return, of each series, the parts that are in its model, and their columns of `beta`."""
        parts = self.regressors.parts
        ends = np.cumsum([part.width for part in parts]).tolist()
        columns = [(part.name, slice(end - part.width, end)) for part, end in zip(parts, ends, strict=True)]
        chosen, which_of = np.unique(self.seasonal[which], axis=0, return_inverse=True)
        kinds = [[columns[i] for i in np.flatnonzero(row).tolist()] for row in chosen]
        return [kinds[i] for i in which_of.ravel().tolist()]


def solve(y: Rows, regressors: Regressors, warm: BatchFit | None = None) -> BatchFit:
    """Fit `y (B, size)`; NaN and infinities are missing, and `y` is not modified.

    `warm` is an earlier fit of the same series, in the same order, with the same number of changepoints: it saves
    time and does not change the result.

    Raises:
        ValueError: if the shapes do not match, or the settings ask for what only the prophet library fits.
    """
    _check(y, regressors, warm)
    rows: Rows = y if y.flags.c_contiguous else y.copy()
    seasonal = _choose_seasonalities(rows, regressors)
    result = _allocate(len(y), regressors)
    start = _start_from(warm, result)
    for pattern in np.unique(seasonal, axis=0):
        members = np.flatnonzero((seasonal == pattern).all(axis=1))
        columns = np.flatnonzero(np.repeat(pattern, regressors.widths))
        _fit_members(rows, members, columns, regressors, start, result)
    return _as_fit(regressors, seasonal, result)


def _check(y: Rows, regressors: Regressors, warm: BatchFit | None) -> None:
    """Raise a ValueError that names the shapes or settings that do not belong together."""
    if regressors.settings.declined:
        raise ValueError(f"{regressors.settings.declined} is left to the prophet library")
    if y.ndim != 2 or y.shape[1] != regressors.grid.size:
        raise ValueError(f"y has shape {y.shape}, the regressors cover (any, {regressors.grid.size})")
    if y.dtype not in (np.float32, np.float64):
        raise ValueError(f"y must be float32 or float64, not {y.dtype}")
    if warm is not None and warm.delta.shape != (len(y), regressors.changepoint_rows.shape[1]):
        raise ValueError(f"warm start of shape {warm.delta.shape} for {len(y)} series")


def extents(y: Rows) -> Int64:
    """Return, of each row, the first and the last observed column, the least spacing, and how many are observed."""
    from collector_processor.forecast.kernel.fit import measure_rows

    found = np.empty((len(y), 4), dtype=np.int64)
    measure_rows(y, found)
    return found


def _choose_seasonalities(y: Rows, regressors: Regressors) -> Bool:
    """Apply Prophet's rules to the observed span and spacing of every series: which seasonalities it has `(B, N)`."""
    first, last, spacing, _ = extents(y).T
    span_nano, spacing_nano = (last - first) * regressors.grid.step_nano, spacing * regressors.grid.step_nano
    enabled = np.ones((len(y), len(regressors.parts)), dtype=np.bool_)
    for i, part in enumerate(regressors.parts):
        if isinstance(part, Seasonality):
            enabled[:, i] = is_enabled(part, regressors.settings, span_nano, spacing_nano)
    return enabled


def _fit_members(y: Rows, members: Int64, columns: Int64, regressors: Regressors, start: Warm, result: Result) -> None:
    """Fit the series that share a choice of seasonalities."""
    from collector_processor.forecast.kernel.fit import fit_rows

    fit_rows(y, members, _shared(regressors, tuple(columns)), start, result._replace(beta_columns=columns))


@lru_cache(maxsize=8)
def _shared(regressors: Regressors, columns: tuple[int, ...]) -> Shared:
    """Sum up what the series share when they use `columns` of the features; kept for the next chunk of a fleet."""
    n, settings = regressors.grid.size, regressors.settings
    rows = np.ascontiguousarray(regressors.features[:, list(columns)])
    u = np.arange(n) / n
    scales = np.repeat([part.prior_scale for part in regressors.parts], regressors.widths)[list(columns)]
    slope = _FIXED if settings.growth == "flat" else 1.0 / KM_VARIANCE
    terms = np.column_stack([np.ones(n), u, u * u, rows, u[:, None] * rows])
    return Shared(
        u=u,
        columns=np.ascontiguousarray(rows.T),
        terms=terms,
        prefix=np.vstack([np.zeros(terms.shape[1]), np.cumsum(terms, axis=0)]),
        gram=rows.T @ rows,
        ridge=np.concatenate([[slope, 1.0 / KM_VARIANCE], scales**-2.0]),
        changepoint_rows=regressors.changepoint_rows,
        tau=settings.changepoint_prior_scale,
        is_minmax=settings.scaling == "minmax",
        mask_passes=settings.mask_passes,
        mask_mads=settings.mask_mads,
    )


def _allocate(series: int, regressors: Regressors) -> Result:
    """Make room for the parameters, NaN until they are known."""
    changepoints = regressors.changepoint_rows.shape[1]
    return Result(
        k=np.full(series, np.nan),
        m=np.full(series, np.nan),
        beta=np.zeros((series, regressors.features.shape[1])),
        delta=np.zeros((series, changepoints)),
        sigma=np.full(series, np.nan),
        scale=np.ones(series),
        offset=np.zeros(series),
        beta_columns=np.empty(0, dtype=np.int64),
        rows=np.zeros((series, 3), dtype=np.int64),
        changepoints=np.full((series, changepoints), -1, dtype=np.int32),
        status=np.full(series, Status.NOT_CONVERGED, dtype=np.int32),
    )


def _start_from(warm: BatchFit | None, result: Result) -> Warm:
    """Bring an earlier fit to value units; series that it could not fit start cold."""
    if warm is None:
        return Warm(np.zeros_like(result.sigma), np.zeros_like(result.delta))
    usable = warm.status == Status.CONVERGED
    sigma = np.where(usable, warm.sigma * warm.y_scale, 0.0)
    return Warm(sigma, np.where(usable[:, None], warm.delta * warm.y_scale[:, None], 0.0))


def _as_fit(regressors: Regressors, seasonal: Bool, result: Result) -> BatchFit:
    """Name the results, times in nanoseconds, and blank what did not converge."""
    failed = result.status >= Status.TOO_SHORT
    for parameter in (result.k, result.m, result.sigma, result.beta, result.delta):
        parameter[failed] = np.nan
    first, last, used = result.rows.T
    if regressors.settings.growth == "flat":
        result.k[~failed] = 0.0
        result.changepoints[:, 0] = first  # Prophet's stand-in for none
    span = np.maximum(last - first, 1)
    at = (result.changepoints - first[:, None]) / span[:, None]
    return BatchFit(
        regressors=regressors,
        status=result.status,
        seasonal=seasonal,
        k=result.k,
        m=result.m,
        delta=result.delta,
        beta=result.beta,
        sigma=result.sigma,
        changepoint=np.where(result.changepoints >= 0, at, np.nan),
        start_unix_nano=regressors.grid.start_unix_nano + first * regressors.grid.step_nano,
        span_nano=span * regressors.grid.step_nano,
        y_scale=result.scale,
        y_offset=result.offset,
        used=used,
    )
