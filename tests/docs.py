"""Write the parts of the README that are made from the code: `python -m tests.docs`."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from collector_processor.config import Config

README = Path(__file__).parent.parent / "README.md"


def settings_table() -> str:
    """Return the configuration reference as a Markdown table."""
    shown = Config().model_dump(mode="json")
    rows = ["| setting | default | |", "|---|---|---|"]
    for section, field in Config.model_fields.items():
        kind: Any = field.annotation
        assert issubclass(kind, BaseModel)
        for name, setting in kind.model_fields.items():
            default = shown[section][name]
            text = (
                "" if default in (None, {}) else f"`{str(default).lower() if isinstance(default, bool) else default}`"
            )
            rows.append(f"| `{section}.{name}` | {text} | {setting.description or ''} |")
    return "\n".join(rows)


def with_part(text: str, name: str, part: str) -> str:
    """Replace what stands between the marks of a part."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{part}\n{end}{after}"


def main() -> None:
    """Renew the README."""
    README.write_text(with_part(README.read_text(), "settings", settings_table()))


if __name__ == "__main__":
    main()
