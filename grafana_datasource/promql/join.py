"""Operators between two vectors: whose samples belong together, and what comes of them."""

from collections.abc import Hashable

import numpy as np

from collector_processor.telemetry.points import Bool, Int64
from grafana_datasource.promql.operators import ARITHMETIC, COMPARISONS, drops_name
from grafana_datasource.promql.syntax import Binary, Grouping, Join
from grafana_datasource.promql.vector import NAME, Labels, Vector, without_name
from grafana_datasource.query import FailedQueryError


def combined(node: Binary, left: Vector, right: Vector) -> Vector:
    """Apply a set operator, which asks only whether a partner exists."""
    mine, theirs, count = _signatures(node.join.grouping, left, right)
    steps = left.present.shape[1]
    if node.operator == "or":
        missing = ~_any_present(left, mine, count)[theirs]
        return Vector.concat([left, Vector(right.labels, right.values, right.present & missing)], steps).merged()
    has_partner = _any_present(right, theirs, count)[mine]
    wanted = has_partner if node.operator == "and" else ~has_partner
    return Vector(left.labels, left.values, left.present & wanted).compact()


def joined(node: Binary, left: Vector, right: Vector) -> Vector:
    """Apply an arithmetic operator or a comparison to every pair of partners.

    Raises:
        FailedQueryError: if a sample has several partners where it may have one.
    """
    if not left.labels or not right.labels:
        return Vector.empty(left.present.shape[1])
    mine, theirs, count = _signatures(node.join.grouping, left, right)
    is_swapped = node.join.many == "right"
    many, one = (right, left) if is_swapped else (left, right)
    many_group, one_group = (theirs, mine) if is_swapped else (mine, theirs)
    asked = left.present.any(axis=0) & right.present.any(axis=0)
    if _has_several(one.present & asked, one_group, count):
        side = "left" if is_swapped else "right"
        raise FailedQueryError(
            f"found duplicate series for the match group on the {side} hand-side of the operation: "
            "many-to-many matching not allowed: matching labels must be unique on one side"
        )
    a, b = _pairs(many_group, one_group, count)
    result = _computed(node, many, one, a, b)
    if node.join.many == "none" and _has_several(result.present, many_group[a], count):
        raise FailedQueryError(
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
        )
    try:
        return result.compact().merged()
    except FailedQueryError:
        raise FailedQueryError("multiple matches for labels: grouping labels must ensure unique matches") from None


def _computed(node: Binary, many: Vector, one: Vector, a: Int64, b: Int64) -> Vector:
    values, others = many.values[a], one.values[b]
    left, right = (others, values) if node.join.many == "right" else (values, others)
    present = many.present[a] & one.present[b]
    is_unnamed = node.is_bool or drops_name(node.operator)
    labels = [
        _result_labels(node.join, many.labels[i], one.labels[j], is_unnamed=is_unnamed)
        for i, j in zip(a.tolist(), b.tolist(), strict=True)
    ]
    if node.operator in ARITHMETIC:
        return Vector(labels, ARITHMETIC[node.operator](left, right), present)
    holds = COMPARISONS[node.operator](left, right)
    if node.is_bool:
        return Vector(labels, holds.astype(np.float64), present)
    return Vector(labels, left, present & holds.astype(np.bool_))


def _result_labels(join: Join, many: Labels, one: Labels, *, is_unnamed: bool) -> Labels:
    labels = without_name(many) if is_unnamed else dict(many)
    if join.many == "none":
        named = join.grouping.labels
        if join.grouping.is_without:
            labels = {name: text for name, text in labels.items() if name not in named}
        else:
            labels = {name: text for name, text in labels.items() if name in named}
    for name in join.included:
        labels.pop(name, None)
        if one.get(name):
            labels[name] = one[name]
    return labels


def _signatures(grouping: Grouping, left: Vector, right: Vector) -> tuple[Int64, Int64, int]:
    """Number the match groups; return the group of each series of both sides and how many groups there are."""
    known: dict[Hashable, int] = {}

    def numbers(vector: Vector) -> Int64:
        found = [known.setdefault(_signature(grouping, labels), len(known)) for labels in vector.labels]
        return np.array(found, np.int64)

    mine, theirs = numbers(left), numbers(right)
    return mine, theirs, len(known)


def _signature(grouping: Grouping, labels: Labels) -> Hashable:
    if not grouping.is_without:
        return tuple(labels.get(name, "") for name in grouping.labels)
    left_out = {NAME, *grouping.labels}
    return frozenset(pair for pair in labels.items() if pair[0] not in left_out)


def _any_present(vector: Vector, group: Int64, count: int) -> Bool:
    """Return `(groups, steps)` whether any series of the group has a sample."""
    return _members_present(vector.present, group, count) > 0


def _has_several(present: Bool, group: Int64, count: int) -> bool:
    if np.unique(group).size == group.size:
        return False
    return bool((_members_present(present, group, count) > 1).any())


def _members_present(present: Bool, group: Int64, count: int) -> Int64:
    found = np.zeros((count, present.shape[1]), np.int64)
    np.add.at(found, group, present)
    return found


def _pairs(many: Int64, one: Int64, count: int) -> tuple[Int64, Int64]:
    """Return rows of both sides of every pair in one match group."""
    order = np.argsort(one, kind="stable")
    start = np.searchsorted(one[order], np.arange(count + 1))
    partners = start[many + 1] - start[many]
    a = np.repeat(np.arange(many.size), partners)
    b = order[np.arange(a.size) - np.repeat(np.cumsum(partners) - partners - start[many], partners)]
    return a, b
