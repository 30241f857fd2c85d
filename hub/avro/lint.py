"""What the hub asks of every schema, beyond Avro's own rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fastavro

from hub.avro.parse import Version, named_types

PRIVACY = ("direct", "quasi", "public")
_PRIMITIVES = ("string", "int", "long", "boolean", "double")


def lint(version: Version) -> Iterator[str]:
    """Yield findings, `path: code message`."""
    try:
        fastavro.parse_schema(dict(version.schema), named_schemas={})
    except Exception as error:
        yield f"{version.path}: S100 not a valid Avro schema: {error}"
        return
    for node in named_types(version.schema):
        if not node.get("doc"):
            yield f"{version.path}: S101 {node['name']} has no doc"
        if node["type"] == "enum":
            if node.get("default") != "UNKNOWN" or "UNKNOWN" not in node["symbols"]:
                yield f"{version.path}: S102 {node['name']} lacks the default UNKNOWN: no symbol could ever be added"
            continue
        for field in node["fields"]:
            where = f"{version.path}: {node['name']}.{field['name']}"
            if not field.get("doc"):
                yield f"{where}: S103 has no doc"
            if field.get("privacy") not in PRIVACY:
                yield f"{where}: S104 has no privacy class ({', '.join(PRIVACY)})"
            if "default" not in field:
                yield f"{where}: S105 has no default: it could never be removed or added"
            if version.audience == "public" and field.get("privacy") != "public":
                yield f"{where}: S106 is not public in a public record"
            yield from _kind(where, field["type"])


def _kind(where: str, kind: Any) -> Iterator[str]:
    if isinstance(kind, list):
        if len(kind) != 2 or kind[0] != "null":
            yield f"{where}: S107 a union is ['null', X] with the default null"
    elif isinstance(kind, dict) and kind.get("type") == "array":
        items = kind["items"]
        if items == "null" or (isinstance(items, dict) and items.get("type") == "record" and not items["fields"]):
            yield f"{where}: S108 items take no bytes: five bytes could become millions of them"
    elif isinstance(kind, str) and kind in ("bytes", "float", "null"):
        yield f"{where}: S109 {kind} is not used here; take one of {', '.join(_PRIMITIVES)}"
