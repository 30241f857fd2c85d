"""Table Schema, checked a second time and by nobody else's code: types, constraints and the SCDL's own checks.

Written from the specification, for the part that French schemas use.  Errors name rows, fields and codes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, NamedTuple

Row = Mapping[str, str]
Schema = Mapping[str, Any]


class Misfit(NamedTuple):
    """One thing that is wrong, without the value."""

    row: int
    """Line of the file: the header is 1; 1 for what concerns the whole table."""
    field: str
    code: str
    """As frictionless calls it, or the name of a custom check."""


def check(schema: Schema, header: Sequence[str], rows: Iterable[Row]) -> list[Misfit]:
    """Return what is wrong with a table."""
    fields = {field["name"]: field for field in schema["fields"]}
    found = [Misfit(1, name, "extra-label") for name in header if name not in fields]
    found += [Misfit(1, name, "missing-label") for name in fields if name not in header]
    missing = frozenset(schema.get("missingValues", [""]))
    checks = [_CHECKS[item["name"]](item.get("params", {})) for item in schema.get("custom_checks", ())]
    key = schema.get("primaryKey", ())
    key = (key,) if isinstance(key, str) else tuple(key)
    unique = {name: set[str]() for name, field in fields.items() if field.get("constraints", {}).get("unique")}
    keys: set[tuple[str, ...]] = set()
    for number, row in enumerate(rows, start=2):
        present = {name: value for name, value in row.items() if value not in missing}
        for name, field in fields.items():
            found += [Misfit(number, name, code) for code in _cell(field, present.get(name))]
        for name, seen in unique.items():
            if name in present and present[name] in seen:
                found.append(Misfit(number, name, "unique-error"))
            seen.add(present.get(name, ""))
        if key:
            named = tuple(present.get(part, "") for part in key)
            if named in keys:
                found.append(Misfit(number, "+".join(key), "primary-key"))
            keys.add(named)
        for one in checks:
            found += [Misfit(number, name, code) for name, code in one(present)]
    return found


def is_siret(value: str) -> bool:
    """Tell whether 14 digits are a SIRET: their check digit by Luhn, or the sum of La Poste's establishments."""
    if not re.fullmatch(r"[0-9]{14}", value):
        return False
    if value.startswith("356000000") and sum(map(int, value)) % 5 == 0:
        return True
    doubled = [int(digit) * (2 if index % 2 == 0 else 1) for index, digit in enumerate(value)]
    return sum(digit - 9 if digit > 9 else digit for digit in doubled) % 10 == 0


def _cell(field: Mapping[str, Any], value: str | None) -> Iterator[str]:
    constraints = field.get("constraints", {})
    if value is None:
        if constraints.get("required"):
            yield "constraint-error"
        return
    try:
        read = _TYPES[field["type"]](value, field)
    except (ValueError, InvalidOperation, TypeError):
        yield "type-error"
        return
    pattern = constraints.get("pattern")
    wrong = (
        ("enum" in constraints and value not in map(str, constraints["enum"]))
        or (pattern is not None and _pattern(pattern).fullmatch(value) is None)
        or ("minLength" in constraints and len(value) < constraints["minLength"])
        or ("maxLength" in constraints and len(value) > constraints["maxLength"])
        or ("minimum" in constraints and read < _TYPES[field["type"]](str(constraints["minimum"]), field))
        or ("maximum" in constraints and read > _TYPES[field["type"]](str(constraints["maximum"]), field))
    )
    if wrong:
        yield "constraint-error"


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _matching(pattern: str, read: Callable[[str], Any]) -> Callable[[str, Mapping[str, Any]], Any]:
    compiled = re.compile(pattern)

    def typed(value: str, _field: Mapping[str, Any]) -> Any:
        if compiled.fullmatch(value) is None:
            raise ValueError("not of the type")
        return read(value)

    return typed


def _text(value: str, field: Mapping[str, Any]) -> str:
    kind = field.get("format", "default")
    if kind == "email" and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
        raise ValueError("not an address")
    if kind == "uri" and not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/]+\S*", value):
        raise ValueError("not a URI")
    return value


def _day(value: str, field: Mapping[str, Any]) -> date:
    pattern = field.get("format", "default")
    if pattern in ("default", "any", "%Y-%m-%d"):
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            raise ValueError("not a day")
        return date.fromisoformat(value)
    return datetime.strptime(value, pattern).date()  # noqa: DTZ007 - a day has no zone


def _moment(value: str, _field: Mapping[str, Any]) -> datetime:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})?", value):
        raise ValueError("not a moment")
    return datetime.fromisoformat(value)


def _array(value: str, field: Mapping[str, Any]) -> list[Any]:
    read = json.loads(value)
    if not isinstance(read, list):
        raise ValueError("not a list")
    allowed = field.get("arrayItem", {}).get("constraints", {}).get("enum")
    if allowed is not None and any(item not in allowed for item in read):
        raise ValueError("not one of the list's words")
    return read


_TYPES: Mapping[str, Callable[[str, Mapping[str, Any]], Any]] = {
    "string": _text,
    "integer": _matching(r"[+-]?[0-9]+", int),
    "number": _matching(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", Decimal),
    "boolean": _matching(r"true|false|True|False|TRUE|FALSE|1|0", lambda value: value.lower() in ("true", "1")),
    "date": _day,
    "datetime": _moment,
    "year": _matching(r"[0-9]{4}", int),
    "yearmonth": _matching(r"[0-9]{4}-(0[1-9]|1[0-2])", str),
    "array": _array,
}

Check = Callable[[Row], Iterator[tuple[str, str]]]


def _siret(params: Mapping[str, Any]) -> Check:
    column = params["column"]

    def checked(row: Row) -> Iterator[tuple[str, str]]:
        if column in row and not is_siret(row[column]):
            yield column, "french-siret-value"

    return checked


def _one_of(params: Mapping[str, Any]) -> Check:
    columns = (params["column1"], params["column2"])

    def checked(row: Row) -> Iterator[tuple[str, str]]:
        if not any(column in row for column in columns):
            yield columns[0], "one-of-required"

    return checked


def _cohesive(params: Mapping[str, Any]) -> Check:
    columns = (params["column"], *params["othercolumns"])

    def checked(row: Row) -> Iterator[tuple[str, str]]:
        if len({column in row for column in columns}) > 1:
            yield columns[0], "cohesive-columns-value"

    return checked


def _years(params: Mapping[str, Any]) -> Check:
    column, whole = params["column"], params.get("allow-year-only") in (True, "true", "yes")

    def checked(row: Row) -> Iterator[tuple[str, str]]:
        if column not in row:
            return
        found = re.fullmatch(r"([0-9]{4})(?:/([0-9]{4}))?", row[column])
        if found is None or (found[2] is None and not whole) or (found[2] or "9999") <= found[1]:
            yield column, "year-interval-value"

    return checked


_CHECKS: Mapping[str, Callable[[Mapping[str, Any]], Check]] = {
    "french-siret-value": _siret,
    "one-of-required": _one_of,
    "cohesive-columns-value": _cohesive,
    "year-interval-value": _years,
}
