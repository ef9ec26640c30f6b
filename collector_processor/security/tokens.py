"""Bearer tokens and what each may do.

Only digests are kept, and a token is compared with all of them, so that the time it takes says nothing.
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from collector_processor.errors import ConfigError
from collector_processor.security.files import Reloaded

MIN_TOKEN_LENGTH = 16
_SCHEME = "bearer "


class Scope(StrEnum):
    """What a token is for."""

    INGEST = "ingest"
    READ = "read"
    HOOK = "hook"
    ADMIN = "admin"  # all of it


class Permission(StrEnum):
    """What comes of asking."""

    GRANTED = "granted"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"


_Known = Sequence[tuple[bytes, Scope]]


class Tokens:
    """Every token in force: those given, and those of a file that may change."""

    def __init__(self, given: Mapping[Scope, Iterable[str]], file: Path | None = None) -> None:
        self.renew(given)
        self._file = Reloaded([file], lambda: _read_file(file)) if file else None

    def renew(self, given: Mapping[Scope, Iterable[str]]) -> None:
        """Put these in the place of the tokens given before; those of the file stay."""
        self._given = [(_digest(token), scope) for scope, tokens in given.items() for token in tokens]

    @property
    def is_required(self) -> bool:
        """Whether there are tokens at all; without, everybody may do everything."""
        return bool(self._given) or self._file is not None

    def check(self, authorization: str | None, scope: Scope) -> Permission:
        """Tell whether the sender of an `Authorization: Bearer` header may do what the scope says."""
        if not self.is_required:
            return Permission.GRANTED
        if authorization is None or not authorization.lower().startswith(_SCHEME):
            return Permission.UNAUTHENTICATED
        return self.check_token(authorization[len(_SCHEME) :].strip(), scope)

    def check_token(self, token: str, scope: Scope) -> Permission:
        """Tell whether whoever has this token may do what the scope says."""
        presented = _digest(token)
        scopes = {known for digest, known in self._known() if hmac.compare_digest(digest, presented)}
        if not scopes:
            return Permission.UNAUTHENTICATED
        return Permission.GRANTED if scopes & {scope, Scope.ADMIN} else Permission.FORBIDDEN

    def _known(self) -> _Known:
        return [*self._given, *(self._file.current() if self._file else ())]


def _digest(token: str) -> bytes:
    return sha256(token.encode(errors="surrogateescape")).digest()


def _read_file(path: Path) -> _Known:
    """Read lines of `scope token`; empty ones and those that begin with # say nothing.

    Raises:
        ConfigError: with the line, never with what stands in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {type(error).__name__}") from None
    known = [_read_line(path, n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not known:
        raise ConfigError(f"{path}: has no token in it")
    return known


def _read_line(path: Path, number: int, line: str) -> tuple[bytes, Scope]:
    scope, _, token = line.strip().partition(" ")
    if scope not in set(Scope):
        raise ConfigError(f"{path}:{number}: should be `scope token`, the scope one of {', '.join(Scope)}")
    if len(token.strip()) < MIN_TOKEN_LENGTH:
        raise ConfigError(f"{path}:{number}: a token should have {MIN_TOKEN_LENGTH} characters or more")
    return _digest(token.strip()), Scope(scope)
