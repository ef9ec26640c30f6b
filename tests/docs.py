"""Write the parts of the README that are made from the code: `python -m tests.docs`."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from collector_processor.config import Config
from collector_processor.policy_config import (
    EventConfig,
    ForecastPolicy,
    HolidaysConfig,
    MatchConfig,
    SeasonalityConfig,
)

BLOCKS: dict[str, type[BaseModel]] = {
    "match.": MatchConfig,
    "forecast.": ForecastPolicy,
    "forecast.seasonalities[].": SeasonalityConfig,
    "forecast.holidays.": HolidaysConfig,
    "forecast.events[].": EventConfig,
}
"""The blocks of a policy, each with its fields."""

README = Path(__file__).parent.parent / "README.md"


def settings_table() -> str:
    """Return the configuration reference as a Markdown table."""
    rows = [f"| `{name}` | {default} | {text} |" for name, default, text in _settings(Config())]
    return "\n".join(["| setting | default | |", "|---|---|---|", *rows])


def _settings(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield name, default and description of every setting of a section and the sections in it."""
    shown = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if name == "policies":
            continue
        if isinstance(value, BaseModel):
            yield from _settings(value, f"{prefix}{name}.")
        else:
            default = str(shown[name]).lower() if isinstance(value, bool) else shown[name]
            yield f"{prefix}{name}", "" if default in (None, {}, []) else f"`{default}`", field.description or ""


def policies_table() -> str:
    """Return what a policy can say as a Markdown table: every block, and the fields of the lists within."""
    rows = ["| field | default | |", "|---|---|---|"]
    for block, kind in BLOCKS.items():
        for name, field in kind.model_fields.items():
            shown = "" if field.is_required() or not isinstance(field.default, str | int | float) else field.default
            default = f"`{'off' if shown is False else shown}`" if shown != "" else ""
            rows.append(f"| `{block}{field.alias or name}` | {default} | {field.description or ''} |")
    return "\n".join(rows)


def with_part(text: str, name: str, part: str) -> str:
    """Replace what stands between the marks of a part."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{part}\n{end}{after}"


def main() -> None:
    """Renew the README."""
    text = with_part(README.read_text(), "settings", settings_table())
    README.write_text(with_part(text, "policies", policies_table()))


if __name__ == "__main__":
    main()
