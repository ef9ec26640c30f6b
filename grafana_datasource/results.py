"""Write values of PromQL as the Prometheus API does: times in seconds, values as text."""

from itertools import pairwise
from typing import Any

import numpy as np
import orjson

from collector_processor.telemetry.points import Bool, Float64, Int64
from grafana_datasource.promql.moments import unix_seconds
from grafana_datasource.promql.numerals import sample_text
from grafana_datasource.promql.samples import Samples
from grafana_datasource.promql.vector import Vector
from grafana_datasource.replies import dump


def instant_data(value: Float64 | Vector | Samples | str, time: int) -> dict[str, Any]:
    """Return the `data` of an instant query."""
    moment = float(unix_seconds(np.array([time]))[0])
    match value:
        case Samples():
            return {"resultType": "matrix", "result": _rows(value)}
        case Vector():
            result = [
                {"metric": labels, "value": [moment, sample_text(sample)]}
                for labels, sample in zip(value.labels, value.values[:, 0].tolist(), strict=True)
            ]
            return {"resultType": "vector", "result": result}
        case str():
            return {"resultType": "string", "result": [moment, value]}
        case _:
            return {"resultType": "scalar", "result": [moment, sample_text(float(value[0]))]}


def range_data(vector: Vector, times: Int64) -> dict[str, Any]:
    """Return the `data` of a range query."""
    moments = unix_seconds(times)
    result = [
        {"metric": labels, "values": _pairs(moments, values, present)}
        for labels, values, present in zip(vector.labels, vector.values, vector.present, strict=True)
    ]
    return {"resultType": "matrix", "result": result}


def _rows(samples: Samples) -> list[dict[str, Any]]:
    moments, rows = unix_seconds(samples.time), [slice(*edges) for edges in pairwise(samples.bounds.tolist())]
    return [
        {"metric": labels, "values": _pairs(moments[row], samples.value[row], ~samples.is_stale[row])}
        for labels, row in zip(samples.labels, rows, strict=True)
        if row.start < row.stop
    ]


def _pairs(moments: Float64, values: Float64, present: Bool) -> orjson.Fragment:
    """Encode the samples of one series at once, so that Python objects of only one series exist at a time."""
    pairs = zip(moments[present].tolist(), map(sample_text, values[present].tolist()), strict=True)
    return orjson.Fragment(dump(list(pairs)))
