"""The read part of the Confluent schema registry's HTTP API, as a function.

Subjects are record names (`hub.library.LoanStarted`).  Nothing can be registered: schemas are files.
"""

from __future__ import annotations

import json
from typing import Any

from hub.avro.codec import Schemas
from hub.avro.parse import Version

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


def answer(schemas: Schemas, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    """Answer a request with a status and a JSON document; `path` is decoded."""
    parts = path.strip("/").split("/")
    try:
        match (method, parts):
            case ("GET", ["config"]) | ("GET", ["config", _]):
                return 200, {"compatibilityLevel": "FULL_TRANSITIVE"}
            case ("GET", ["mode"]) | ("GET", ["mode", _]):
                return 200, {"mode": "READONLY"}
            case ("GET", ["schemas", "types"]):
                return 200, ["AVRO"]
            case ("GET", ["schemas", "ids", number]):
                return 200, {"schema": _text(schemas, _number(number))}
            case ("GET", ["schemas", "ids", number, "schema"]):
                return 200, json.loads(_text(schemas, _number(number)))
            case ("GET", ["schemas", "ids", number, "versions"]):
                version = _version(schemas, _number(number))
                return 200, [{"subject": version.full_name, "version": version.number}]
            case ("GET", ["schemas", "ids", number, "subjects"]):
                return 200, [_version(schemas, _number(number)).full_name]
            case ("GET", ["subjects"]):
                return 200, schemas.names()
            case ("GET", ["subjects", subject, "versions"]):
                return 200, sorted(_numbers(schemas, subject))
            case ("GET", ["subjects", subject, "versions", wanted]):
                return 200, _described(schemas, subject, wanted)
            case ("GET", ["subjects", subject, "versions", wanted, "schema"]):
                return 200, json.loads(_described(schemas, subject, wanted)["schema"])
            case ("GET", ["subjects", subject, "versions", wanted, "referencedby"]):
                _described(schemas, subject, wanted)
                return 200, []
            case ("GET", ["contexts"]):
                return 200, ["."]
            case ("POST", ["subjects", subject]):
                return _looked_up(schemas, subject, body)
            case ("POST", ["subjects", subject, "versions"]):
                return _registered(schemas, subject, body)
            case ("POST" | "PUT" | "DELETE", ["subjects" | "config" | "mode" | "schemas" | "compatibility", *_]):
                return _refused()
            case _:
                return 404, _error(404, "HTTP 404 Not Found")
    except _Missing as error:
        return error.status, error.document


class _Missing(Exception):
    """Something that was asked for is not there."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.document = document


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error_code": code, "message": message}


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise _Missing(404, _error(40403, "Schema not found"))
    return int(text)


def _version(schemas: Schemas, number: int) -> Version:
    try:
        return schemas.version(number)
    except KeyError:
        raise _Missing(404, _error(40403, "Schema not found")) from None


def _text(schemas: Schemas, number: int) -> str:
    return json.dumps(_version(schemas, number).schema, ensure_ascii=False)


def _numbers(schemas: Schemas, subject: str) -> dict[int, int]:
    try:
        return dict(schemas.numbers(subject))
    except KeyError:
        raise _Missing(404, _error(40401, "Subject not found")) from None


def _described(schemas: Schemas, subject: str, wanted: str) -> dict[str, Any]:
    numbers = _numbers(schemas, subject)
    if wanted in ("latest", "-1"):
        version = max(numbers)
    elif wanted.isascii() and wanted.isdigit() and len(wanted) < 10 and int(wanted) > 0:
        version = int(wanted)
    else:
        raise _Missing(422, _error(42202, "The specified version is not a valid version id"))
    if version not in numbers:
        raise _Missing(404, _error(40402, "Version not found"))
    return {
        "subject": subject,
        "version": version,
        "id": numbers[version],
        "schemaType": "AVRO",
        "schema": _text(schemas, numbers[version]),
    }


def _refused() -> tuple[int, Any]:
    # What a Confluent registry in the mode READONLY answers.
    return 422, _error(42205, "Schemas are files of the hub: this registry is read only")


def _registered(schemas: Schemas, subject: str, body: bytes) -> tuple[int, Any]:
    """Give the id of a schema that is there: stock serializers register what they use, each time they start."""
    try:
        status, document = _looked_up(schemas, subject, body)
    except _Missing:
        return _refused()
    if status == 404:
        return _refused()
    return (200, {"id": document["id"]}) if status == 200 else (status, document)


def _looked_up(schemas: Schemas, subject: str, body: bytes) -> tuple[int, Any]:
    numbers = _numbers(schemas, subject)
    try:
        wanted = json.loads(json.loads(body)["schema"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return 422, _error(42201, "Invalid schema")
    for version, number in numbers.items():
        if json.loads(_text(schemas, number)) == wanted:
            return 200, _described(schemas, subject, str(version))
    return 404, _error(40403, "Schema not found")
