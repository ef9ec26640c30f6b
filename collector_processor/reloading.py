"""A configuration that changes while Foreband runs: what takes effect at once, and what waits for a restart."""

from collections.abc import Iterator
from dataclasses import dataclass

from collector_processor.config import Config
from collector_processor.config.sections import Section
from collector_processor.config.security import SecurityConfig

LIVE = ("log", "memory", "series", "detect", "silences", "policies")
"""Sections that take effect at once; so do `security.hook_secrets`, and tokens where they were and are asked for."""

JUDGING = ("memory", "series", "detect", "policies")
"""Those by which series are known and judged."""


@dataclass(frozen=True, slots=True)
class Reload:
    """The last attempt to read the configuration, when one last succeeded (the start counts), and what of it waits."""

    has_succeeded: bool
    succeeded_unix_nano: int
    waiting: tuple[str, ...] = ()


def adopted(old: Config, new: Config) -> Config:
    """Return the old configuration with all that can change at once as it is in the new one."""
    changes: dict[str, Section | tuple[Section, ...]] = {name: getattr(new, name) for name in LIVE}
    changes["security"] = _with_secrets(old.security, new.security)
    return old.model_copy(update=changes)


def differing(one: Section, other: Section, path: str = "") -> Iterator[str]:
    """Yield the names of settings in which two configurations differ, such as `receiver.listen`; never a value."""
    for name in type(one).model_fields:
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, Section) and isinstance(theirs, Section):
            yield from differing(mine, theirs, f"{path}{name}.")
        elif mine != theirs:
            yield f"{path}{name}"


def _with_secrets(old: SecurityConfig, new: SecurityConfig) -> SecurityConfig:
    keeps_asking = old.asks_for_tokens and new.asks_for_tokens
    tokens = new.tokens if keeps_asking else old.tokens
    return old.model_copy(update={"tokens": tokens, "hook_secrets": new.hook_secrets})
