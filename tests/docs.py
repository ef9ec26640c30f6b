"""Write the parts of the README that are made from the code: `python -m tests.docs`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo

from collector_processor.config import Config
from collector_processor.config.detect import BoundsConfig, DetectPolicy, MaintenanceConfig
from collector_processor.config.policy import (
    CapacityPolicy,
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
    "detect.": DetectPolicy,
    "detect.bounds.": BoundsConfig,
    "detect.maintenance[].": MaintenanceConfig,
    "capacity.": CapacityPolicy,
}
"""The blocks of a policy, each with its fields."""

README = Path(__file__).parent.parent / "README.md"


def settings_table() -> str:
    """Return the configuration reference as a Markdown table."""
    return "\n".join(["| setting | default | |", "|---|---|---|", *_rows(Config, "")])


def _rows(section: type[BaseModel], path: str) -> Iterator[str]:
    """Yield a row per setting; those of a section, or of the sections in a list, follow it."""
    for name, setting in section.model_fields.items():
        if name == "policies":
            continue  # has a table of its own
        kind: Any = setting.annotation
        is_list = get_origin(kind) is tuple
        inner: Any = get_args(kind)[0] if is_list else kind
        is_section = isinstance(inner, type) and issubclass(inner, BaseModel)
        if path and (is_list or not is_section):
            yield f"| `{path}{name}` | {_shown(setting)} | {setting.description or ''} |"
        if is_section:
            yield from _rows(inner, f"{path}{name}{'[]' * is_list}.")


def _shown(setting: FieldInfo) -> str:
    if setting.is_required():
        return "required"
    kind: Any = setting.annotation
    holder: Any = create_model("holder", it=(kind, setting))
    default = holder().model_dump(mode="json")["it"]
    if default in (None, {}, []):
        return ""
    return f"`{', '.join(default) if isinstance(default, list) else json.dumps(default).strip(chr(34))}`"


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
