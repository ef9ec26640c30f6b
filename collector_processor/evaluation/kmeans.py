"""Anomaly detection as Netdata does it: k-means with two centres on short stretches, many models, all must agree.

A point is described by the last five smoothed differences. Four times a day a model is trained on the two days before;
a point is anomalous if, for each of the newest 18 models, it lies further from both centres than 99 % of the way from
the nearest to the furthest point of that model's own training.
"""

import numpy as np

from collector_processor.telemetry.points import Bool, Float64

_SMOOTH, _LAGS = 3, 5
_MODELS, _A_DAY, _DAYS = 18, 4, 2
_ROUNDS = 10
_LIMIT = 0.99
_MOST_TRAINED_ON = 1000


def unlike_all(value: Float64, steps_a_day: int) -> Bool:
    """Return which of `(n,)` points every model kept finds unlike what it has seen."""
    features, result = _features(value), np.zeros(value.size, np.bool_)
    every, length = max(1, steps_a_day // _A_DAY), _DAYS * steps_a_day
    models: list[tuple[Float64, float, float]] = []
    for start in range(max(every, _SMOOTH + _LAGS + 20), value.size, every):
        models = [*models, _trained(features[max(_SMOOTH + _LAGS, start - length) : start])][-_MODELS:]
        ahead = features[start : start + every]
        result[start : start + every] = np.all([_score(ahead, model) > _LIMIT for model in models], axis=0)
    return result


def _features(value: Float64) -> Float64:
    difference = np.diff(value, prepend=value[:1])
    smooth = np.convolve(difference, np.full(_SMOOTH, 1.0 / _SMOOTH))[: value.size]
    lagged = [np.concatenate([np.zeros(lag), smooth[: smooth.size - lag]]) for lag in range(_LAGS + 1)]
    return np.stack(lagged, axis=1)


def _trained(rows: Float64) -> tuple[Float64, float, float]:
    rows = rows[:: -(-len(rows) // _MOST_TRAINED_ON)]
    size = (rows**2).sum(axis=1)
    centres = rows[[size.argmin(), size.argmax()]]
    for _ in range(_ROUNDS):
        nearest = _distances(rows, centres).argmin(axis=1)
        centres = np.stack([rows[nearest == k].mean(axis=0) if (nearest == k).any() else centres[k] for k in (0, 1)])
    distance = _distances(rows, centres).mean(axis=1)
    return centres, float(distance.min()), float(distance.max())


def _score(rows: Float64, model: tuple[Float64, float, float]) -> Float64:
    centres, low, high = model
    width = high - low
    return (_distances(rows, centres).mean(axis=1) - low) / width if width > 0.0 else np.zeros(len(rows))


def _distances(rows: Float64, centres: Float64) -> Float64:
    return np.asarray(np.linalg.norm(rows[:, np.newaxis] - centres, axis=2))
