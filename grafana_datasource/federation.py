"""Write what selectors mean right now as text that a Prometheus scrapes: federation.

Samples carry no time of their own: they are of now, and a series that is gone is marked stale by whoever scrapes.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from collector_processor.errors import TooLargeError
from grafana_datasource.backend import Session
from grafana_datasource.matching import Matcher
from grafana_datasource.promql.numerals import sample_text
from grafana_datasource.promql.vector import NAME
from grafana_datasource.session_source import SessionSource

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Labels = Mapping[str, str]


def federated(session: Session, selectors: Sequence[Sequence[Matcher]]) -> str:
    """Return each series that any selector means, once, grouped by metric.

    Raises:
        TooLargeError: if there are more series than an instant query may answer.
    """
    source, found = SessionSource(session), dict[tuple[tuple[str, str], ...], float]()
    for selector in selectors:
        vector = source.instant(selector, np.array([session.now])).compact()
        values = vector.values[:, 0].tolist()
        found.update(
            (tuple(sorted(labels.items())), value) for labels, value in zip(vector.labels, values, strict=True)
        )
    if len(found) > session.limits.instant_series:
        raise TooLargeError(f"{len(found)} series, the limit is {session.limits.instant_series}: name fewer")
    return "".join(_lines((dict(labels), value) for labels, value in found.items()))


def _lines(samples: Iterable[tuple[Labels, float]]) -> Iterable[str]:
    of: dict[str, list[tuple[Labels, float]]] = {}
    for labels, value in samples:
        of.setdefault(labels[NAME], []).append((labels, value))
    for name in sorted(of):
        yield f"# TYPE {name} untyped\n"
        for labels, value in of[name]:
            inside = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items() if key != NAME)
            yield f"{name}{{{inside}}} {sample_text(value)}\n"
