"""A page: models of neighbouring series as columns, evaluated together, and replaced as a whole when one changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from collector_processor.forecast.design import Design
from collector_processor.forecast.moments import Moments
from collector_processor.forecast.packed import MEDIANS
from collector_processor.forecast.seasonal import SLOTS
from collector_processor.telemetry.band import FORECASTS
from collector_processor.telemetry.points import Float64, Int64

PAGE = 4_096
"""Series of a page: few enough to be copied in a millisecond, and enough to be worth a call of NumPy's."""

PROPHET, SEASONAL = FORECASTS.index("prophet"), FORECASTS.index("seasonal")

FACTS = np.dtype(
    [
        ("version", "<i8"),  # 0: no model
        ("created_unix_nano", "<i8"),
        ("trained_start_unix_nano", "<i8"),
        ("trained_end_unix_nano", "<i8"),
        ("valid_from_unix_nano", "<i8"),  # Prophet's last changepoint
        ("valid_until_unix_nano", "<i8"),  # one window past its end: half an hour says nothing about tomorrow
        ("profile_offset", "<f8", (MEDIANS,)),
        ("profile_scale", "<f8", (MEDIANS,)),
        ("std", "<f8"),  # of the series itself
        ("sigma", "<f8"),  # Prophet's uncertainty, see `fitted.TrendParameters`
        ("changepoint_rate", "<f8"),  # per day
        ("mean_delta", "<f8"),  # value units a day
        ("place", "<i4"),  # row of its group's theta
        ("group", "<i2"),  # of the page; -1: no Prophet
        ("zone", "<i2"),  # number of the medians' time zone
        ("winner", "u1"),  # indexes FORECASTS
    ],
    align=True,  # or NumPy would copy a column before it computes with it
)
Facts = npt.NDArray[np.void]
"""Array (series,) of FACTS."""

Places = Int64 | slice
"""Places in a page `(n,)`; a slice where one follows the other, since NumPy need not copy what that picks."""

Profile = npt.NDArray[np.int16]
"""Days `(series, 96, 2)` of the medians; a fact scales and shifts each. Neighbouring slots lie side by side."""

NO_MODEL = np.zeros((), FACTS)
NO_MODEL["group"], NO_MODEL["winner"] = -1, SEASONAL
for _unknown in ("profile_offset", "profile_scale", "std", "sigma", "changepoint_rate", "mean_delta"):
    NO_MODEL[_unknown] = np.nan


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The series of a page whose models are of one design: their places `(m,)` in the page, and `theta` `(m, P)`."""

    design: Design
    members: Int64
    theta: Float64


@dataclass(frozen=True, slots=True, eq=False)
class Fresh:
    """New models of one design for a page, or without Prophet: their places `(m,)`, and a row each of everything."""

    members: Int64
    facts: Facts
    profile: Profile
    design: Design | None
    theta: Float64


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Models of PAGE series: `facts` and `profile`, a row each, and theta in `groups`."""

    facts: Facts
    profile: Profile
    groups: tuple[Group, ...]

    @classmethod
    def empty(cls) -> Self:
        """Return a page of series without models."""
        return cls(np.full(PAGE, NO_MODEL), np.zeros((PAGE, SLOTS, MEDIANS), np.int16), ())

    @property
    def nbytes(self) -> int:
        """Return how much memory it takes."""
        thetas = sum(group.theta.nbytes + group.members.nbytes for group in self.groups)
        return self.facts.nbytes + self.profile.nbytes + thetas

    def with_models(self, fresh: Sequence[Fresh]) -> "Page":
        """Return a page with these models in place of older ones; groups without a change are shared."""
        facts, profile = self.facts.copy(), self.profile.copy()
        is_fresh = np.zeros(PAGE, np.bool_)
        for models in fresh:
            facts[models.members], profile[models.members] = models.facts, models.profile
            is_fresh[models.members] = True
        groups = _regrouped(self.groups, is_fresh, fresh)
        for i, group in enumerate(groups):
            facts["group"][group.members], facts["place"][group.members] = i, np.arange(group.members.size)
        return Page(facts, profile, groups)

    def put_forecasts(self, result: Float64, at: Places, which: Int64 | None, moments: Moments) -> None:
        """Fill `result` `(n, F)`, columns FORECASTS, for series `at` these places, each at `which` of the moments."""
        result[:, PROPHET] = self._prophet(at, which, moments)
        self._put_medians(result, at, which, moments)

    def _prophet(self, at: Places, which: Int64 | None, moments: Moments) -> Float64:
        of, place = self.facts["group"][at], self.facts["place"][at]
        yhat = np.full(of.size, np.nan)
        for i, group in enumerate(self.groups):
            rows, x = np.flatnonzero(of == i), moments.basis(group.design)
            if which is not None:
                yhat[rows] = group.design.combine(group.theta[place[rows]], x[which[rows]])
            elif 2 * rows.size >= len(group.theta):  # dearer to pick rows than to evaluate all of them
                yhat[rows] = group.design.combine(group.theta, x[0]).take(place[rows])
            else:
                yhat[rows] = group.design.combine(group.theta[place[rows]], x[0])
        time = moments.distinct[0] if which is None else moments.distinct[which]
        valid_from, valid_until = self.facts["valid_from_unix_nano"][at], self.facts["valid_until_unix_nano"][at]
        invalid = time < valid_from
        invalid |= time >= valid_until
        if invalid.any():
            yhat[invalid] = np.nan
        return yhat

    def _put_medians(self, result: Float64, at: Places, which: Int64 | None, moments: Moments) -> None:
        """Fill the medians' columns, one after the other: NumPy is slow along an axis of two."""
        slot, following, share = moments.slots
        if which is None and moments.zones == 1:
            (slot,), (following,), (share,) = moments.slots
            before, after = self.profile[at, slot].T, self.profile[at, following].T
        else:
            rows = np.arange(at.start, at.stop) if isinstance(at, slice) else at
            moment = self.facts["zone"][at].astype(np.int64) * moments.distinct.size + (0 if which is None else which)
            slot, following, share = slot.take(moment), following.take(moment), share.take(moment)
            before, after = self._days(rows, slot), self._days(rows, following)
        for median in range(MEDIANS):
            day = (after[median] - before[median].astype(np.float64)) * share
            day += before[median]
            day *= self.facts["profile_scale"][at, median]
            day += self.facts["profile_offset"][at, median]
            result[:, SEASONAL + median] = day

    def _days(self, rows: Int64, slot: Int64) -> Profile:
        """Return both medians `(2, n)` of places `(n,)` at slots `(n,)`, picked as one number: half the time of two."""
        both = self.profile.view(np.int32).ravel().take(rows * SLOTS + slot)
        return both.view(np.int16).reshape(-1, MEDIANS).T


def by_column(n: int) -> Float64:
    """Return `(n, F)` of NaN whose columns lie together in memory."""
    return np.full((len(FORECASTS), n), np.nan).T


def _regrouped(groups: Sequence[Group], is_fresh: npt.NDArray[np.bool_], fresh: Sequence[Fresh]) -> tuple[Group, ...]:
    """Put new models into the group of their design; groups that nobody is left in are gone."""
    regrouped: dict[Design, Group] = {}
    for group in groups:
        gone = is_fresh[group.members]
        kept = Group(group.design, group.members[~gone], group.theta[~gone]) if gone.any() else group
        regrouped[group.design] = kept
    for models in fresh:
        if models.design is not None:
            held = regrouped.get(models.design)
            before = [] if held is None else [held]
            regrouped[models.design] = Group(
                models.design,
                np.concatenate([*(group.members for group in before), models.members]),
                np.concatenate([*(group.theta for group in before), models.theta]),
            )
    return tuple(group for group in regrouped.values() if group.members.size)
