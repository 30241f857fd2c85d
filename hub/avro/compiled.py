"""A writer per schema, made of its text once: a model straight to Avro, with the checks of `strict` on the way.

It is made of the schema as `dataclasses` make `__init__` of fields.  It either gives the bytes that fastavro gives for
what `strict` lets through, or raises, whatever: the caller then goes the long way, which names the field.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from hub.avro.parse import named_types

Write = Callable[[Any], bytes]
"""`model -> Avro body`; raises for whatever does not fit."""

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT, _LONG = 2**31, 2**63


class _Misfit(Exception):
    """What does not fit; which field it is, the long way tells."""


def writer(schema: Mapping[str, Any]) -> Write:
    """Make the writer of a record's model."""
    types = {node["name"]: node for node in named_types(schema)}
    source = _Source(types)
    source.function("write", schema)
    namespace: dict[str, Any] = {
        **source.values,
        "date": date,
        "number": _number,
        "day": _day,
        "instant": _instant,
        "double": _double,
        "LENGTHS": _LENGTHS,
        "Misfit": _Misfit,
        "join": b"".join,
    }
    exec("\n".join(source.text), namespace)  # noqa: S102 - made of our own schemas
    made: Write = namespace["write"]
    return made


def _zigzag(value: int) -> bytes:
    value = value << 1 if value >= 0 else (-value << 1) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


_LENGTHS = [_zigzag(length) for length in range(1024)]
"""Lengths as they are written; what is longer goes the long way."""


def _number(value: Any, bound: int) -> bytes:
    if type(value) is not int or not -bound <= value < bound:
        raise _Misfit
    return _zigzag(value)


_day = lru_cache(maxsize=4096)(lambda value: _zigzag(value.toordinal() - _EPOCH_DAY))
"""A town speaks of few days at a time."""


def _instant(value: Any) -> bytes:
    if not isinstance(value, datetime):
        raise _Misfit
    # Raises for one without a zone.
    delta = value - _EPOCH
    return _zigzag((delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000)


def _double(value: Any) -> bytes:
    # Neither infinity nor what is no number is equal to itself less itself.
    if (type(value) is not float and type(value) is not int) or value - value != 0:
        raise _Misfit
    return struct.pack("<d", value)


class _Source:
    """Python text, line by line, and the values that it names."""

    def __init__(self, types: Mapping[str, Any]) -> None:
        self.text: list[str] = []
        """Functions that are written."""
        self.lines: list[str] = []
        """Of the function that is being written."""
        self.values: dict[str, Any] = {}
        self._types = types
        self._functions: dict[str, str] = {}
        self._count = 0

    def function(self, name: str, record: Mapping[str, Any]) -> None:
        """Write the function of a record."""
        outer, self.lines = self.lines, [f"def {name}(model):"]
        parts = [self._part(field["type"], f"model.{field['name']}", field, "    ") for field in record["fields"]]
        self.lines.append(f"    return join(({', '.join(parts)}{',' if parts else ''}))")
        self.text.append("\n".join(self.lines))
        self.lines = outer

    def _name(self, value: Any = None) -> str:
        self._count += 1
        name = f"_{self._count}"
        if value is not None:
            self.values[name] = value
        return name

    def _part(self, kind: Any, value: str, field: Mapping[str, Any], indent: str) -> str:
        """Write the lines that a value needs, and return the expression of its bytes."""
        if isinstance(kind, list):
            found, part = self._name(), self._name()
            self.lines += [
                f"{indent}{found} = {value}",
                f"{indent}if {found} is None: {part} = b'\\x00'",
                f"{indent}else:",
            ]
            inner = self._part(kind[1], found, field, indent + "    ")
            self.lines.append(f"{indent}    {part} = b'\\x02' + {inner}")
            return part
        if isinstance(kind, str) and kind in self._types:
            kind = self._types[kind]
        if isinstance(kind, Mapping) and "logicalType" not in kind:
            match kind["type"]:
                case "record":
                    return f"{self._record(kind)}({value})"
                case "enum":
                    known = {symbol: _zigzag(index) for index, symbol in enumerate(kind["symbols"])}
                    found = self._name()
                    self.lines += [
                        f"{indent}{found} = {value}",
                        f"{indent}if not isinstance({found}, str): raise Misfit",
                    ]
                    return f"{self._name(known)}[{found}.value]"
                case "array":
                    return self._array(kind["items"], value, indent)
                case inner:
                    return self._part(inner, value, field, indent)
        return self._primitive(kind["logicalType"] if isinstance(kind, Mapping) else kind, value, field, indent)

    def _record(self, kind: Mapping[str, Any]) -> str:
        name = self._functions.get(kind["name"])
        if name is None:
            name = self._functions[kind["name"]] = f"write_{kind['name']}"
            self.function(name, kind)
        return name

    def _array(self, items: Any, value: str, indent: str) -> str:
        found, parts, item = self._name(), self._name(), self._name()
        self.lines += [
            f"{indent}{found} = {value}",
            f"{indent}if type({found}) is not tuple: raise Misfit",
            f"{indent}{parts} = [LENGTHS[len({found})]] if {found} else []",
            f"{indent}for {item} in {found}:",
        ]
        inner = self._part(items, item, {}, indent + "    ")
        self.lines += [f"{indent}    {parts}.append({inner})", f"{indent}{parts}.append(b'\\x00')"]
        return f"join({parts})"

    def _primitive(self, kind: str, value: str, field: Mapping[str, Any], indent: str) -> str:
        found = self._name()
        self.lines.append(f"{indent}{found} = {value}")
        match kind:
            case "string":
                longest = min(field.get("maxLength", 1023), 1023)
                fits = ""
                if "pattern" in field:
                    fits = f" or {found} and {self._name(re.compile(field['pattern']).fullmatch)}({found}) is None"
                self.lines += [
                    f"{indent}if type({found}) is not str or len({found}) > {longest}{fits}: raise Misfit",
                    f"{indent}{found} = {found}.encode()",
                ]
                part = self._name()
                self.lines.append(f"{indent}{part} = LENGTHS[len({found})]")
                return f"{part}, {found}" if indent == "    " else f"{part} + {found}"
            case "boolean":
                self.lines.append(f"{indent}if {found} is not True and {found} is not False: raise Misfit")
                return f"(b'\\x01' if {found} else b'\\x00')"
            case "int" | "long":
                return f"number({found}, {_INT if kind == 'int' else _LONG})"
            case "double":
                return f"double({found})"
            case "date":
                self.lines.append(f"{indent}if type({found}) is not date: raise Misfit")
                return f"day({found})"
            case "timestamp-millis":
                return f"instant({found})"
        raise ValueError(f"no writer for {kind}")
