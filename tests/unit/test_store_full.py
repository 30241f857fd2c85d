"""A database without room loses nothing: the work waits, and goes on once there is room."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from databases import store_in
from sqlalchemy.exc import OperationalError

from hub.model.errors import Transient
from hub.store.store import _trouble
from schemas.models.library import LoanStarted
from tests.unit.test_store import ANNE, NOW, Policy, event, link


def test_a_full_database_waits_and_goes_on(tmp_path: Path) -> None:
    """The batch that found no room is written whole when it is repeated."""
    store = store_in(tmp_path)
    batch = [event(n, LoanStarted(item_id="i" * 2000), "ils_di:7") for n in range(200)]
    batch.append(link(200, ANNE, "ils_di:7"))
    with store._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1")
    with pytest.raises(Transient, match=r"^database: disk full$"):
        store.project(batch, Policy(), NOW)
    assert store.linked_subjects("ils_di") == []
    with store._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    assert len(store.project(batch, Policy(), NOW).inserted) == 201
    assert store.linked_subjects("ils_di") == ["7"]
    store.close()


def test_postgresql_says_disk_full_in_the_same_words() -> None:
    """Its own text is not repeated: it may quote values."""
    error = OperationalError("", {}, psycopg.errors.DiskFull("secret"))
    assert _trouble(error) == "disk full"
