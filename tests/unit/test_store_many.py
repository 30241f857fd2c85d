"""What is looked up by many values is looked up by an index, whatever the database believes of its tables."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from hub.store import Store
from hub.store import tables as t
from hub.store.links import holds_on
from hub.store.many import among, insert_new, look_up

LINKS, ASKED, TIMES = 2_000, 5, 12
"""The server stops planning for the values themselves after some times."""
SUBJECTS, EACH = 2_000, 20
READ = "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relname = '{}'"


@pytest.mark.postgres
def test_a_table_that_is_new_is_not_read_from_end_to_end(fresh_postgres: Callable[[], str]) -> None:
    """Nobody has counted yet what the table holds: five rows are found by reading five."""
    store = Store(fresh_postgres())
    store.migrate()
    links = [
        {"subject": f"chrono:E{n}", "citizen": f"c{n}", "role": "PARENT", "scope": "[]", "since": 1, "opened_by": ""}
        for n in range(LINKS)
    ]
    with store.transaction(write=True) as connection:
        connection.execute(insert(t.links), links)
    with store.transaction(write=False) as connection:
        for time in range(TIMES):
            asked = [f"chrono:E{n}" for n in range(time, time + ASKED)]
            open_today = holds_on(date(2026, 3, 10))
            found = look_up(connection, t.links.c.subject, asked * 2, t.links.c.citizen, where=open_today)
            assert sorted(found) == sorted((f"c{n}",) for n in range(time, time + ASKED))
        assert connection.execute(text(READ.format("links"))).scalar_one() <= 2 * TIMES * ASKED
    store.close()


@pytest.mark.postgres
def test_of_a_large_table_only_what_was_asked_for_is_read(fresh_postgres: Callable[[], str]) -> None:
    """Once the server knows how large it is, it still knows how few values there are."""
    store = Store(fresh_postgres())
    store.migrate()
    same = {"type": "t", "product": "p", "audience": "person", "occurred_at": 1, "read_at": 1, "recorded_at": 1}
    seq = {"seq_epoch": 1, "seq_index": 0, "rev": 1, "payload": "{}"}
    rows = [
        {**same, **seq, "event_id": f"e{n}", "subject": f"chrono:E{n % SUBJECTS}", "seq_offset": n}
        for n in range(SUBJECTS * EACH)
    ]
    with store.transaction(write=True) as connection:
        insert_new(connection, t.entries, rows)
        connection.execute(text("ANALYZE entries"))
    e = t.entries.c
    with store.transaction(write=False) as connection:
        for time in range(TIMES):
            asked = [f"chrono:E{n}" for n in range(time, time + ASKED)]
            assert len(store.shown(connection, among(connection, e.subject, asked))) == ASKED * EACH
        assert connection.execute(text(READ.format("entries"))).scalar_one() <= 2 * TIMES * ASKED * EACH
    store.close()


@pytest.mark.postgres
def test_what_is_written_is_what_was_given(fresh_postgres: Callable[[], str]) -> None:
    """Whatever a text holds, and however large a number is."""
    store = Store(fresh_postgres())
    store.migrate()
    texts = ["", " ", "null", '"', "\\", "\\u0041", "'", "{},", "é\u2028\U0001f68a", "\n\t\x7f", ":a %s %(a)s"]
    given = {"type": "t", "citizen": "c", "product": "p", "read_at": 2**63 - 1, "recorded_at": -1, "result": "r"}
    rows = [{"event_id": f"e{n:02}", "subject": one, "about": "", **given} for n, one in enumerate(texts)]
    c = t.commands.c
    with store.transaction(write=True) as connection:
        assert insert_new(connection, t.commands, rows) == {row["event_id"] for row in rows}
        found = connection.execute(select(*(c[name] for name in rows[0])).order_by(c.event_id)).mappings()
        assert [dict(row) for row in found] == rows
        assert [list(look_up(connection, c.subject, [one], c.subject)) for one in texts] == [[(one,)] for one in texts]
    store.close()


@pytest.mark.postgres
def test_what_is_too_long_for_a_column_is_not_cut_off(fresh_postgres: Callable[[], str]) -> None:
    """Cut off, it would pass for another's."""
    store = Store(fresh_postgres())
    store.migrate()
    name, day = "c" * 36, {"period": "2026-03-10", "place": "", "kind": "", "rev": 1}
    with store.transaction(write=True) as connection:
        insert_new(connection, t.facts, [{"event_id": name, "fact": "meal", **day}])
        found = look_up(connection, t.facts.c.event_id, [name, name + "d"], t.facts.c.event_id)
        assert list(found) == [(name,)]
        assert list(look_up(connection, t.facts.c.event_id, [name + "d"], t.facts.c.event_id)) == []
    with pytest.raises(DBAPIError, match="too long"), store.transaction(write=True) as connection:
        insert_new(connection, t.facts, [{"event_id": "e", "fact": "f" * 21, **day}])
    store.close()
