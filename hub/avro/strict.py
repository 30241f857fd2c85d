"""Whether data is of the kind and within the bounds that its schema says.

fastavro's writer is lenient: it writes `"no"` as true, 1.5 as 1, 2**40 as an `int` that no other language reads, and
takes a naive time as one of the machine's own zone.  Here each of these is a misfit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from hub.avro.parse import named_types

Check = Callable[[Any], str | None]
"""`value -> None` if it fits, else where it does not: empty for the value itself, `.citizen` for what is in it."""

_INT = 2**31
_LONG = 2**63


def misfit(schema: Mapping[str, Any]) -> Check:
    """Make the check of a record's data; built once, since it runs for every event."""
    return _check(schema, {node["name"]: node for node in named_types(schema)}, {})


def _check(kind: Any, types: Mapping[str, Any], field: Mapping[str, Any]) -> Check:
    if isinstance(kind, list):
        return _nullable(_check(kind[1], types, field))
    if isinstance(kind, str) and kind in types:
        kind = types[kind]
    if not isinstance(kind, dict):
        return _string(field) if kind == "string" else _PRIMITIVES[kind]
    if "logicalType" in kind:
        return _PRIMITIVES[kind["logicalType"]]
    match kind["type"]:
        case "record":
            return _record(tuple((below["name"], _check(below["type"], types, below)) for below in kind["fields"]))
        case "enum":
            return _enum(frozenset(kind["symbols"]))
        case "array":
            return _array(_check(kind["items"], types, {}))
        case inner:
            return _check(inner, types, field)


def _record(fields: tuple[tuple[str, Check], ...]) -> Check:
    names = frozenset(name for name, _ in fields)

    def check(value: Any) -> str | None:
        if type(value) is not dict:
            return ""
        if value.keys() != names:
            return f".{min(map(str, value.keys() ^ names))}"
        for name, inner in fields:
            wrong = inner(value[name])
            if wrong is not None:
                return f".{name}{wrong}"
        return None

    return check


def _array(items: Check) -> Check:
    def check(value: Any) -> str | None:
        if type(value) is not list and type(value) is not tuple:
            return ""
        for item in value:
            wrong = items(item)
            if wrong is not None:
                return wrong
        return None

    return check


def _nullable(inner: Check) -> Check:
    return lambda value: None if value is None else inner(value)


def _enum(symbols: frozenset[str]) -> Check:
    return lambda value: None if isinstance(value, str) and value in symbols else ""


def _string(field: Mapping[str, Any]) -> Check:
    longest = field.get("maxLength", math.inf)
    # Not `match` or `search`: `$` would let a line feed through.
    fits = re.compile(field["pattern"]).fullmatch if "pattern" in field else None

    def check(value: Any) -> str | None:
        if not isinstance(value, str) or len(value) > longest:
            return ""
        # Empty is "not said": every field has a default.
        if fits is not None and value and fits(value) is None:
            return ""
        return None if value.isascii() or _is_utf8(value) else ""

    return check


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_instant(value: Any) -> bool:
    return isinstance(value, datetime) and value.utcoffset() is not None


def _is_number(value: Any) -> bool:
    # JSON, in which the account keeps what it shows, has neither infinity nor NaN.
    return type(value) in (float, int) and -math.inf < value < math.inf


_PRIMITIVES: dict[str, Check] = {
    "null": lambda value: None if value is None else "",
    "boolean": lambda value: None if type(value) is bool else "",
    "int": lambda value: None if type(value) is int and -_INT <= value < _INT else "",
    "long": lambda value: None if type(value) is int and -_LONG <= value < _LONG else "",
    "double": lambda value: None if _is_number(value) else "",
    # A datetime is a date to Python, in a zone that nobody said.
    "date": lambda value: None if type(value) is date else "",
    "timestamp-millis": lambda value: None if _is_instant(value) else "",
}
