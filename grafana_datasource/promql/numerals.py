"""Write numbers as Prometheus does."""

from decimal import Decimal


def sample_text(value: float) -> str:
    """Return the shortest text that reads back as this value."""
    match text := repr(value):
        case "inf":
            return "+Inf"
        case "-inf":
            return "-Inf"
        case "nan":
            return "NaN"
        case _:
            return text.removesuffix(".0")


def label_text(value: float) -> str:
    """Return that text without an exponent, as `count_values` writes it into a label."""
    text = sample_text(value)
    return format(Decimal(text), "f") if "e" in text else text


def number_text(value: float) -> str:
    """Return the shortest text of a number that shows it is no whole one, as OpenMetrics writes `le` and `quantile`."""
    text = sample_text(value)
    return f"{text}.0" if text.lstrip("-").isdigit() else text
