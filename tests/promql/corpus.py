"""Questions that Foreband and Prometheus must answer alike: generated over functions and shapes, and tricky ones."""

from pathlib import Path

_RANGE_FUNCTIONS = [
    "rate",
    "increase",
    "irate",
    "delta",
    "idelta",
    "deriv",
    "resets",
    "changes",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "sum_over_time",
    "count_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "last_over_time",
    "present_over_time",
]
_RANGES = (
    "requests_total[1m]",
    "requests_total[5m]",
    'requests_total{job="api",code="500"}[17m] offset 3m',
    "late_total[10m]",
    "temperature[5m]",
    "temperature[1m]",
    "ending[4m]",
    "wild[6m]",
    "lonely[10m]",
    "temperature[30m:3m]",
    "ending[10m:45s] offset -2m",
)
_VALUE_FUNCTIONS = [
    "abs",
    "ceil",
    "floor",
    "exp",
    "ln",
    "log2",
    "log10",
    "sqrt",
    "sgn",
    "deg",
    "rad",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "round",
    "sort",
    "sort_desc",
    "timestamp",
    "absent",
    "scalar",
]
_VALUES = ("temperature", "wild", "limit offset 1m")
_DATES = ["minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year"]
_AGGREGATIONS = ["sum", "min", "max", "avg", "count", "group", "stddev", "stdvar"]
_GROUPINGS = ("", "by (zone)", "by (job, code)", "without (host)", "without ()", "by (nowhere)")
_AGGREGATED = ("temperature", "requests_total", "rate(requests_total[5m])", "wild")
_ARITHMETIC = ["+", "-", "*", "/", "%", "^", "atan2"]
_COMPARISONS = ["==", "!=", ">", "<", ">=", "<="]


def expressions() -> list[str]:
    """Return every question once."""
    found = [f"{function}({ranged})" for function in _RANGE_FUNCTIONS for ranged in _RANGES]
    found += [f"{function}({value})" for function in _VALUE_FUNCTIONS for value in _VALUES]
    found += [f"{function}({value})" for function in _DATES for value in ("", "moment", "vector(-1)")]
    found += [
        f"{operator} {grouping} ({value})"
        for operator in _AGGREGATIONS
        for grouping in _GROUPINGS
        for value in _AGGREGATED
    ]
    found += [f"temperature {operator} 3" for operator in _ARITHMETIC + _COMPARISONS]
    found += [f"3 {operator} temperature" for operator in _ARITHMETIC + _COMPARISONS]
    found += [f"temperature {operator} bool 12.5" for operator in _COMPARISONS]
    found += [f"wild {operator} wild" for operator in _ARITHMETIC + _COMPARISONS]
    found += [f"7 {operator} 2.5" for operator in _ARITHMETIC]
    found += [f"7 {operator} bool 2.5" for operator in _COMPARISONS]
    return list(dict.fromkeys(found + tricky()))


def tricky() -> list[str]:
    """Return the questions written by hand."""
    lines = (Path(__file__).with_name("tricky.promql")).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]
