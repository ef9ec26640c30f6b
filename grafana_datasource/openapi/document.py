"""Build the document from the routes of an application."""

import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from flask import Flask
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from werkzeug.routing import Rule

from grafana_datasource.access import TOKEN_HEADER, scope_of
from grafana_datasource.hooks.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER
from grafana_datasource.openapi.operation import Operation, Parameter
from grafana_datasource.openapi.shapes.base import Failure
from grafana_datasource.openapi.table import OPERATIONS, OUTSIDE

_REASONS = {
    400: "The question is malformed; the message says where.",
    401: "No valid token.",
    403: "The token is for something else.",
    404: "There is nothing of that name.",
    405: "The route takes other methods.",
    409: "It was done already, or this process cannot do it.",
    413: "The body is too large.",
    415: "The body is of another type.",
    422: "The question makes sense and cannot be answered: not supported, or the answer is too large.",
    431: "The head of the request is too large: send a long question as a form.",
    503: "Not now: too many questions at once, too little time or memory. `Retry-After` says when.",
}
_ALWAYS = (400, 401, 413, 422, 431, 503)
_REF = "#/components/schemas/{model}"
_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"


def document(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI document of every route but the page's.

    Raises:
        KeyError: if a route is not described.
    """
    rules = [rule for rule in app.url_map.iter_rules() if not rule.endpoint.startswith(OUTSIDE)]
    schemas, definitions = _schemas(OPERATIONS[rule.endpoint] for rule in rules)
    paths: dict[str, Any] = {}
    for rule in sorted(rules, key=lambda rule: rule.rule):
        operation = OPERATIONS[rule.endpoint]
        methods = sorted((rule.methods or set()) & {"GET", "POST"})
        paths[_path(rule, operation)] = {
            method.lower(): _operation(rule.endpoint, method, operation, schemas) for method in methods
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Foreband",
            "version": version("foreband"),
            "description": "Forecast bands and anomaly verdicts of OpenTelemetry series. Times in rows are epoch "
            "milliseconds, in Prometheus' answers epoch seconds. Answers are strict JSON: NaN is null, in Prometheus' "
            "samples a text. Data is never to be cached; the same range means another forecast after a refit.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "responses": {str(code): _refusal(text) for code, text in _REASONS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": TOKEN_HEADER},
                "signature": {"type": "apiKey", "in": "header", "name": SIGNATURE_HEADER},
                "signed_at": {"type": "apiKey", "in": "header", "name": TIMESTAMP_HEADER},
            },
        },
    }


class _Untitled(GenerateJsonSchema):
    """Leaves out titles that only repeat the name of a field."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        """Return False."""
        return False


def _schemas(operations: Iterable[Operation]) -> tuple[dict[int, Any], dict[str, Any]]:
    """Return the schema of each type by its id, and what they refer to."""
    types = {id(kind): kind for each in operations for kind in (each.answer, each.body) if kind is not None}
    types[id(Failure)] = Failure
    adapters = [(key, "validation", TypeAdapter(kind)) for key, kind in types.items()]
    found, shared = TypeAdapter.json_schemas(adapters, ref_template=_REF, schema_generator=_Untitled)  # type: ignore[arg-type]
    return {key: schema for (key, _), schema in found.items()}, shared["$defs"]


def _path(rule: Rule, operation: Operation) -> str:
    name = operation.at.name if operation.at else ""
    return re.sub(r"<[^>]+>", f"{{{name}}}", rule.rule)


def _operation(endpoint: str, method: str, operation: Operation, schemas: dict[int, Any]) -> dict[str, Any]:
    takes_form = method == "POST" and operation.body is None
    scope = scope_of(endpoint)
    described: dict[str, Any] = {
        "operationId": f"{method.lower()}_{re.sub('[^a-z0-9]+', '_', endpoint.lower()).strip('_')}",
        "summary": operation.summary,
        "tags": [endpoint.partition(".")[0] if "." in endpoint else "operations"],
        "parameters": [_at(operation.at)] if operation.at else [],
        "responses": _responses(operation, schemas, scope),
        "security": _security(operation, scope),
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {_JSON: {"schema": schemas[id(operation.body)]}}}
    elif takes_form and operation.parameters:
        described["requestBody"] = {"required": True, "content": {_FORM: {"schema": _form(operation.parameters)}}}
    elif not takes_form:
        described["parameters"] += [_in_query(each) for each in operation.parameters]
    return described


def _security(operation: Operation, scope: str) -> list[dict[str, list[str]]]:
    if operation.is_signed:
        return [{"signature": [], "signed_at": []}]
    return [{"bearer": [scope]}, {"header": [scope]}] if scope else []


def _responses(operation: Operation, schemas: dict[int, Any], scope: str) -> dict[str, Any]:
    codes = [*_ALWAYS, *operation.refusals]
    if operation.body is not None:
        codes.append(415)
    if scope in {"admin", "hook"}:
        codes.append(403)
    content = {operation.media: {"schema": {"type": "string"}}}
    if operation.answer is not None:
        content = {_JSON: {"schema": schemas[id(operation.answer)]}}
    answered = {str(operation.status): {"description": "The answer.", "content": content}}
    return answered | {str(code): {"$ref": f"#/components/responses/{code}"} for code in sorted(set(codes))}


def _refusal(text: str) -> dict[str, Any]:
    return {"description": text, "content": {_JSON: {"schema": {"$ref": _REF.format(model="Failure")}}}}


def _at(parameter: Parameter) -> dict[str, Any]:
    return {**_described(parameter), "in": "path", "required": True}


def _in_query(parameter: Parameter) -> dict[str, Any]:
    return {**_described(parameter), "in": "query", "required": parameter.is_required}


def _described(parameter: Parameter) -> dict[str, Any]:
    return {"name": parameter.name, "description": parameter.text, "schema": _schema(parameter)}


def _schema(parameter: Parameter) -> dict[str, Any]:
    schema = dict(parameter.schema)
    return {"type": "array", "items": schema, "minItems": 1} if parameter.is_repeated else schema


def _form(parameters: Iterable[Parameter]) -> dict[str, Any]:
    given = list(parameters)
    return {
        "type": "object",
        "properties": {each.name: {**_schema(each), "description": each.text} for each in given},
        "required": [each.name for each in given if each.is_required],
    }
