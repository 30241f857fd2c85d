"""Statements about many values, whose text does not grow with them.

psycopg looks a statement through for its parameters each time: with thousands of them that took three times as long
as all the rest.  So PostgreSQL gets an array, and SQLite, where each statement has a limit of them, a JSON list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, Text, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite


def among(connection: Connection, column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that a column of text is one of some values."""
    if connection.dialect.name == "postgresql":
        # Not `= ANY (array)`: where no index is taken, as in a table that is new, each row is held against all of it.
        return column.in_(select(func.unnest(bindparam(None, values, postgresql.ARRAY(Text), unique=True))))
    listed = func.json_each(json.dumps(values)).table_valued("value")
    return column.in_(select(listed.c.value))


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Write those rows whose key, one column, is not there yet, in the order given; return their keys."""
    (key,) = table.primary_key.columns
    if connection.dialect.name == "postgresql":
        names = list(rows[0])
        arrays = [func.unnest(_array(table.c[name], [row[name] for row in rows])) for name in names]
        many = postgresql.insert(table).from_select(names, select(*arrays), include_defaults=False)
        return set(connection.execute(many.on_conflict_do_nothing().returning(key)).scalars())
    each = sqlite.insert(table).on_conflict_do_nothing().returning(key)
    return set(connection.execute(each, rows).scalars())


def _array(column: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[Any]:
    return bindparam(None, values, postgresql.ARRAY(column.type), unique=True)
