"""Grafana's own Prometheus data source as a program on pipes, and the frames it answers with."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any


@dataclass(frozen=True)
class DataSource:
    """One data source as Grafana has it set up."""

    _requests: IO[str]
    _answers: IO[str]

    def save_and_test(self) -> dict[str, Any]:
        return self._ask({"health": True})

    def resource(self, url: str, method: str = "GET", body: str = "") -> tuple[int, Any]:
        """Call what Explore, the query builder and variables call; return status and body."""
        answer = self._ask({"resource": {"url": url, "method": method, "body": body}})
        return answer["status"], json.loads(answer["body"])

    def query(self, model: dict[str, Any], start: int, end: int, *, points: int = 1000) -> dict[str, Any]:
        """Ask as a panel or an alert rule does, over milliseconds."""
        asked = {"model": model, "from": start, "to": end, "intervalMs": 60_000, "maxDataPoints": points}
        return self._ask({"query": {**asked, "headers": {"FromAlert": "true"} if model.get("instant") else {}}})

    def wide(self, rows: list[dict[str, Any]]) -> list["Field"]:
        """Frame rows as alert evaluation frames what Infinity's backend parser read."""
        (frame,) = self._ask({"wide": _long_frame(rows)})["frames"]
        return fields_of(frame)

    def _ask(self, call: dict[str, Any]) -> dict[str, Any]:
        self._requests.write(json.dumps(call) + "\n")
        self._requests.flush()
        answer: dict[str, Any] = json.loads(self._answers.readline())
        return answer


@dataclass(frozen=True)
class Field:
    """One column of a frame."""

    name: str
    labels: dict[str, str]
    values: list[Any]


@contextmanager
def data_source(program: str, url: str, json_data: dict[str, Any], secure: dict[str, str]) -> Iterator[DataSource]:
    """Run the program with the settings of a data source."""
    settings = json.dumps({"url": url, "jsonData": json_data, "secureJsonData": secure})
    command = [program, settings]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdin
        assert running.stdout
        yield DataSource(running.stdin, running.stdout)
        running.stdin.close()


def fields_of(frame: dict[str, Any]) -> list[Field]:
    """Return the columns of a frame as Grafana's frontend gets it."""
    described = zip(frame["schema"]["fields"], frame["data"]["values"], strict=True)
    return [Field(field.get("name", ""), field.get("labels", {}), values) for field, values in described]


def _long_frame(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Type columns as Infinity does when they are declared: epoch milliseconds, names and numbers."""
    types = {"time": ("time", "time.Time"), "value": ("number", "float64")}
    fields = []
    for name in rows[0]:
        kind, frame = types.get(name, ("string", "string"))
        fields.append({"name": name, "type": kind, "typeInfo": {"frame": frame}})
    return {"schema": {"fields": fields}, "data": {"values": [[row[name] for row in rows] for name in rows[0]]}}
