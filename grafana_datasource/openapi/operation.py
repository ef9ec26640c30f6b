"""What one route takes and answers, and what its parameters are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query string, a form or a path; `schema` is JSON Schema."""

    name: str
    text: str
    schema: Mapping[str, Any]
    is_required: bool = False
    is_repeated: bool = False

    def required(self) -> "Parameter":
        """Return the same where it must be there."""
        return Parameter(self.name, self.text, self.schema, True, self.is_repeated)


@dataclass(frozen=True, slots=True)
class Operation:
    """One route.

    `answer` is the type of the JSON it answers, None for anything else, of the type `media`. `at` describes the
    variable in its path. Where it takes JSON, `body` is its type; otherwise POST takes the `parameters` as a form.
    `refusals` are codes it may answer besides those that all may; one that `is_signed` takes no token but a signature.
    """

    summary: str
    answer: Any = None
    parameters: tuple[Parameter, ...] = ()
    at: Parameter | None = None
    body: Any = None
    status: int = 200
    refusals: tuple[int, ...] = ()
    is_signed: bool = False
    media: str = "text/plain"
