"""What the hub asks of every schema, beyond Avro's own rules."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping
from typing import Any

import fastavro

from hub.avro.parse import Version, named_types

PRIVACY = ("direct", "quasi", "public")
_PRIMITIVES = ("string", "int", "long", "boolean", "double")
_LOGICAL = {"date": "int", "timestamp-millis": "long"}
_FIELD = re.compile(r"[a-z][a-z0-9_]*")
_TYPE = re.compile(r"[A-Z][A-Za-z0-9]*[a-z0-9][A-Za-z0-9]*")
_SYMBOL = re.compile(r"[A-Z][A-Z0-9_]*")
_TAKEN = frozenset({"ClassVar", "None", "True", "False", "Any", "StrEnum"})


def lint(version: Version) -> Iterator[str]:
    """Yield findings, `path: code message`."""
    try:
        fastavro.parse_schema(dict(version.schema), named_schemas={})
        nodes = list(named_types(version.schema))
    except Exception as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else error
        yield f"{version.path}: S100 not a valid Avro schema: {why}"
        return
    types = {node["name"]: node for node in nodes}
    for node in nodes:
        if not node.get("doc"):
            yield f"{version.path}: S101 {node['name']} has no doc"
        if _TYPE.fullmatch(node["name"]) is None or node["name"] in _TAKEN:
            yield f"{version.path}: S110 {node['name']} is not a name in CamelCase"
        if node is not version.schema and node.get("namespace", version.schema["namespace"]) != f"hub.{version.domain}":
            yield f"{version.path}: S110 {node['name']} has a namespace of its own"
        if node["type"] == "enum":
            if node.get("default") != "UNKNOWN" or "UNKNOWN" not in node["symbols"]:
                yield f"{version.path}: S102 {node['name']} lacks the default UNKNOWN: no symbol could ever be added"
            for symbol in node["symbols"]:
                if _SYMBOL.fullmatch(symbol) is None:
                    yield f"{version.path}: S110 {node['name']}: a symbol is not in UPPER_CASE"
            continue
        if node["name"] in _within(node["fields"], types, set()):
            yield f"{version.path}: S112 {node['name']} holds itself: bytes could nest without end"
            continue
        for field in node["fields"]:
            yield from _field(f"{version.path}: {node['name']}.{field['name']}:", field, version, types)


def _field(where: str, field: Mapping[str, Any], version: Version, types: Mapping[str, Any]) -> Iterator[str]:
    name, kind = field["name"], field["type"]
    if not field.get("doc"):
        yield f"{where} S103 has no doc"
    if field.get("privacy") not in PRIVACY:
        yield f"{where} S104 has no privacy class ({', '.join(PRIVACY)})"
    if version.audience == "public" and field.get("privacy") != "public":
        yield f"{where} S106 is not public in a public record"
    if _FIELD.fullmatch(name) is None or keyword.iskeyword(name) or name in ("as_dict", "from_dict"):
        yield f"{where} S110 is not a name in snake_case that Python takes"
    problems = list(_kind(where, kind, types))
    if not problems and _type(kind, types) == "record":
        problems = [f"{where} S107 a record within a record is nullable or an item of an array"]
    yield from problems
    if "default" not in field:
        yield f"{where} S105 has no default: it could never be removed or added"
    elif not problems and not _is_default(field["default"], kind, types):
        yield f"{where} S105 its default is not the empty value of its kind, or not of its kind"
    yield from _bounds(where, field)


def _within(fields: Any, types: Mapping[str, Any], seen: set[str]) -> set[str]:
    """Collect the names of types that a record refers to, at any depth."""
    todo = [field["type"] for field in fields]
    while todo:
        kind = todo.pop()
        if isinstance(kind, list):
            todo += kind
        elif isinstance(kind, dict) and kind["type"] == "array":
            todo.append(kind["items"])
        else:
            name = str(kind.get("name")) if isinstance(kind, dict) else str(kind)
            if name in types and name not in seen:
                seen.add(name)
                todo += [field["type"] for field in types[name].get("fields", ())]
    return seen


def _bounds(where: str, field: Mapping[str, Any]) -> Iterator[str]:
    text = field["type"] == "string" or field["type"] == ["null", "string"]
    longest, pattern = field.get("maxLength"), field.get("pattern")
    if not text and (longest is not None or pattern is not None):
        yield f"{where} S111 maxLength and pattern are for strings"
    if longest is not None and (type(longest) is not int or longest < 1):
        yield f"{where} S111 maxLength is not a whole number from 1"
    if pattern is not None:
        try:
            re.compile(pattern)
        except (re.error, TypeError):
            yield f"{where} S111 pattern is not a regular expression"
        else:
            if not (pattern.startswith("^") and pattern.endswith("$")):
                yield f"{where} S111 pattern is not anchored with ^ and $"


def _kind(where: str, kind: Any, types: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(kind, list):
        if len(kind) != 2 or kind[0] != "null" or _type(kind[1], types) == "array":
            yield f"{where} S107 a union is ['null', X] with the default null, and X no array"
        else:
            yield from _kind(where, kind[1], types)
    elif isinstance(kind, str):
        if kind not in _PRIMITIVES and kind not in types:
            yield f"{where} S109 {kind} is not used here; take one of {', '.join(_PRIMITIVES)}"
    elif kind["type"] == "array":
        items = kind["items"]
        named = types.get(items) if isinstance(items, str) else items
        if items == "null" or (isinstance(named, dict) and named.get("fields") == []):
            yield f"{where} S108 items take no bytes: five bytes could become millions of them"
        elif isinstance(items, list) or _type(items, types) == "array":
            yield f"{where} S109 an item is a primitive, an enum or a record"
        else:
            yield from _kind(where, items, types)
    elif "logicalType" in kind:
        if _LOGICAL.get(kind["logicalType"]) != kind["type"]:
            yield f"{where} S109 a logical type is a date (int) or timestamp-millis (long): what every language reads"
    elif kind["type"] not in ("record", "enum"):
        yield f"{where} S109 write {kind['type']!r} alone, or one of record, enum, array"


def _type(kind: Any, types: Mapping[str, Any]) -> Any:
    if isinstance(kind, str):
        return types[kind]["type"] if kind in types else kind
    return kind["type"] if isinstance(kind, dict) else "union"


def _is_default(default: Any, kind: Any, types: Mapping[str, Any]) -> bool:
    if isinstance(kind, list):
        return default is None
    match _type(kind, types):
        case "array":
            return bool(default == [])
        case "enum":
            return bool(default == "UNKNOWN")
        case "string":
            return isinstance(default, str)
        case "boolean":
            return isinstance(default, bool)
        case "int":
            return type(default) is int and -(2**31) <= default < 2**31
        case "long":
            return type(default) is int and -(2**63) <= default < 2**63
        case "double":
            return type(default) in (int, float)
    return False
