"""Write the parts of the README that are made from the code: `python -m tests.docs`."""

from pathlib import Path
from typing import Any

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
    shown = Config().model_dump(mode="json")
    rows = ["| setting | default | |", "|---|---|---|"]
    for section, field in Config.model_fields.items():
        kind: Any = field.annotation
        if section == "policies":
            continue
        assert issubclass(kind, BaseModel)
        for name, setting in kind.model_fields.items():
            default = shown[section][name]
            text = (
                "" if default in (None, {}) else f"`{str(default).lower() if isinstance(default, bool) else default}`"
            )
            rows.append(f"| `{section}.{name}` | {text} | {setting.description or ''} |")
    return "\n".join(rows)


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
