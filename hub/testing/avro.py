"""Generated canonical data: hypothesis strategies made of the schemas."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache
from typing import Any

from hypothesis import strategies as st

from hub.avro.codec import Schemas
from hub.avro.parse import named_types


def values(schema: Any) -> st.SearchStrategy[Any]:
    """Make data that a writer of the schema takes."""
    return _of(schema, {node["name"]: node for node in named_types(schema)}, {})


@cache
def payloads(schemas: Schemas, full_name: str) -> st.SearchStrategy[Any]:
    """Make models of a record; the strategy is made once, because making it takes longer than drawing from it."""
    return values(schemas.version(schemas.id_of(full_name)).schema).map(schemas.model(full_name))


def _of(kind: Any, types: dict[str, Any], field: Any) -> st.SearchStrategy[Any]:
    if isinstance(kind, list):
        return st.one_of(*(_of(branch, types, field) for branch in kind))
    if isinstance(kind, str) and kind in types:
        kind = types[kind]
    if isinstance(kind, dict):
        match kind["type"], kind.get("logicalType"):
            case _, "date":
                return st.dates(date(1850, 1, 1), date(2150, 1, 1))
            case _, "timestamp-millis":
                moments = st.integers(-(10**11), 4 * 10**12)
                return moments.map(lambda value: datetime.fromtimestamp(value // 1000, UTC))
            case "record", _:
                return st.fixed_dictionaries(
                    {below["name"]: _of(below["type"], types, below) for below in kind["fields"]}
                )
            case "enum", _:
                return st.sampled_from(kind["symbols"])
            case "array", _:
                return st.lists(_of(kind["items"], types, {}), max_size=3)
            case inner, _:
                return _of(inner, types, field)
    match kind:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "double":
            return st.floats(allow_nan=False, allow_infinity=False)
        case "int":
            return st.integers(-(2**31), 2**31 - 1)
        case "long":
            return st.integers(-(2**63), 2**63 - 1)
    if "pattern" in field:
        return st.from_regex(field["pattern"].replace("$", r"\Z"), fullmatch=True)
    return st.text(max_size=min(12, field.get("maxLength", 12)))
