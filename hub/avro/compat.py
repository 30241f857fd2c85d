"""Whether a new version of a record breaks readers or writers of the old one, and why.

FULL_TRANSITIVE: every version can read what every other wrote (Avro specification 1.11, "Schema
Resolution"), so that subscribers and producers move in any order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hub.avro.parse import Version, named_types

_PROMOTIONS = {("int", "long"), ("int", "double"), ("long", "double")}
Types = Mapping[str, Mapping[str, Any]]


def breaks(versions: Iterable[Version]) -> Iterator[str]:
    """Yield what is incompatible between any two versions of the same record."""
    known = list(versions)
    for writer in known:
        for reader in known:
            if writer.full_name == reader.full_name and writer.number != reader.number:
                for problem in unreadable(writer.schema, reader.schema):
                    yield f"{reader.path}: S301 v{reader.number} cannot read v{writer.number}: {problem}"
                if writer.number < reader.number:
                    for problem in tightened(writer.schema, reader.schema):
                        yield f"{reader.path}: S302 v{reader.number} refuses what v{writer.number} took: {problem}"


def tightened(before: Any, after: Any) -> Iterator[str]:
    """Yield bounds that became narrower: events that are in the topic would not be read any more."""
    was = {node["name"]: node for node in named_types(before)}
    for node in named_types(after):
        if node["type"] != "record" or node["name"] not in was:
            continue
        fields = {field["name"]: field for field in was[node["name"]]["fields"]}
        for field in node["fields"]:
            old = fields.get(field["name"])
            if old is None:
                continue
            where = f"{node['name']}.{field['name']}"
            if field.get("maxLength", math.inf) < old.get("maxLength", math.inf):
                yield f"{where}: maxLength became smaller"
            if field.get("pattern") not in (None, old.get("pattern")):
                yield f"{where}: another pattern"


def unreadable(writer: Any, reader: Any) -> Iterator[str]:
    """Yield why data of one schema cannot be read under the other."""
    yield from _resolve(writer, reader, _types(writer), _types(reader), str(reader.get("name", "")))


def _types(schema: Any) -> Types:
    return {node["name"]: node for node in named_types(schema)}


def _resolve(writer: Any, reader: Any, wrote: Types, reads: Types, at: str) -> Iterator[str]:
    writer, reader = _named(writer, wrote), _named(reader, reads)
    if isinstance(writer, list):
        for branch in writer:
            yield from _resolve(branch, reader, wrote, reads, at)
        return
    if isinstance(reader, list):
        if not any(not list(_resolve(writer, branch, wrote, reads, at)) for branch in reader):
            yield f"{at}: {_kind(writer)} is in no branch of the union"
        return
    kind, wanted = _kind(writer), _kind(reader)
    if kind != wanted:
        if (kind, wanted) not in _PROMOTIONS or _logical(writer) or _logical(reader):
            yield f"{at}: {kind} became {wanted}"
        return
    if _logical(writer) != _logical(reader):
        yield f"{at}: logical type changed"
    if kind in ("enum", "record") and writer["name"] != reader["name"]:
        yield f"{at}: {kind} {writer['name']} became {reader['name']}"
    if kind == "array":
        yield from _resolve(writer["items"], reader["items"], wrote, reads, f"{at}[]")
    elif kind == "enum":
        if set(writer["symbols"]) - set(reader["symbols"]) and "default" not in reader:
            yield f"{at}: a symbol is unknown and there is no default"
    elif kind == "record":
        fields = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            below = f"{at}.{field['name']}"
            if field["name"] in fields:
                yield from _resolve(fields[field["name"]]["type"], field["type"], wrote, reads, below)
            elif "default" not in field:
                yield f"{below}: new without a default"


def _named(schema: Any, types: Types) -> Any:
    return types.get(schema, schema) if isinstance(schema, str) else schema


def _kind(schema: Any) -> str:
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)


def _logical(schema: Any) -> Any:
    return schema.get("logicalType") if isinstance(schema, dict) else None
