"""What a door says about a request before its body comes, and how it words a refusal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body; header names are in capitals, with `_` for `-`.

    `content_length` is 0 for chunks, and None where nothing announces a body.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    content_length: int | None


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP response."""

    code: int
    content_type: str
    body: bytes
    headers: Sequence[tuple[str, str]] = ()

    @property
    def status(self) -> str:
        """Return the status line's code and phrase."""
        return f"{self.code} {HTTPStatus(self.code).phrase}"

    def header_list(self) -> list[tuple[str, str]]:
        """Return all headers, the length of the body included."""
        return [("Content-Type", self.content_type), ("Content-Length", str(len(self.body))), *self.headers]

    def to_response(self, _ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return what waitress asks of an error."""
        return self.status, [("Content-Type", self.content_type), *self.headers], self.body


class Guard(Protocol):
    """One per server; called in its network thread, so neither may wait."""

    def admit(self, head: Head) -> Reply | None:
        """Return the refusal of a request none of whose body was read, None to go on."""

    def refuse(self, code: int, text: str, head: Head) -> Reply:
        """Word a refusal of the server's own: too large, malformed, too much at once."""


class PlainGuard:
    """Admits everybody, and words refusals as plain text."""

    def admit(self, head: Head) -> None:
        """Return None."""
        del head

    def refuse(self, code: int, text: str, head: Head) -> Reply:
        """Return the text."""
        del head
        return Reply(code, "text/plain; charset=utf-8", f"{text}\n".encode())
