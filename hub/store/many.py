"""Statements about many values, whose text does not grow with them.

psycopg looks a statement through for its parameters each time: with thousands of them that took three times as long
as all the rest; and it writes an array value by value in Python, a third of what its thread did.  SQLite has a limit of
parameters.  So both get a JSON list, but PostgreSQL an array where its plan depends on how many values there are.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite


def among(connection: Connection, column: ColumnElement[Any], values: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that a column of text is one of some values."""
    if connection.dialect.name == "postgresql":
        # Not `= ANY (array)`: where no index is taken, as in a table that is new, each row is held against all of it.
        # Nor a JSON list, of which PostgreSQL believes that it has a hundred values, and then reads the whole table.
        return column.in_(select(func.unnest(bindparam(None, values, postgresql.ARRAY(Text), unique=True))))
    listed = func.json_each(json.dumps(values)).table_valued("value")
    return column.in_(select(listed.c.value))


def look_up(
    connection: Connection, column: ColumnElement[str], values: Collection[str], *columns: Any, where: Any = None
) -> Iterator[tuple[Any, ...]]:
    """Yield some columns of the rows of which one column of text is one of some values."""
    if not values:
        return
    query = select(*columns) if where is None else select(*columns).where(where)
    if connection.dialect.name == "postgresql":
        # Each value by itself, by the column's index; OFFSET is what holds PostgreSQL to it.  Of a table that is new it
        # believes that next to nothing passes `where`, and would read all of it for each value.
        listed = bindparam(None, json.dumps(sorted(set(values))), Text, unique=True)
        one = func.json_array_elements_text(_listed(listed)).table_valued("value").render_derived()
        found = query.where(column == one.c.value).offset(literal_column("0")).lateral()
        query = select(found).select_from(one.join(found, true()))
    else:
        query = query.where(among(connection, column, list(values)))
    for row in connection.execute(query):
        yield tuple(row)


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Write those rows whose key, one column, is not there yet, in the order given; return their keys."""
    (key,) = table.primary_key.columns
    statement, values = _insert(connection, table, rows)
    return set(connection.execute(statement.on_conflict_do_nothing().returning(key), values).scalars())


def insert_newer(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], told: Collection[str]
) -> None:
    """Write rows in the order given; of one that is there already, not of a newer `rev`, change what is `told`."""
    statement, values = _insert(connection, table, rows)
    newer = statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: statement.excluded[name] for name in (*told, "rev")},
        where=statement.excluded.rev >= table.c.rev,
    )
    connection.execute(newer, values)


def _insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> tuple[Any, Any]:
    """Return the statement that writes rows, and what it is executed with."""
    if connection.dialect.name != "postgresql":
        return sqlite.insert(table), rows
    return _insert_listed(table, tuple(rows[0])), {"rows": json.dumps(rows)}


@cache
def _insert_listed(table: Table, names: tuple[str, ...]) -> postgresql.Insert:
    # Made once: to make it costs more than to write a few rows.
    # PostgreSQL cuts off without a word what is cast to a text of some length.
    types = {name: Text if isinstance(table.c[name].type, String) else table.c[name].type for name in names}
    listed = func.json_to_recordset(_listed(bindparam("rows", type_=Text)))
    rows = listed.table_valued(*(column(name, one) for name, one in types.items())).render_derived(with_types=True)
    return postgresql.insert(table).from_select(names, select(*rows.c), include_defaults=False)


def _listed(written: ColumnElement[str]) -> ColumnElement[Any]:
    return cast(written, postgresql.JSON)
